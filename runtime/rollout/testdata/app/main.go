// Command app is the program that the tests of the rollout run in containers. MODE says how it behaves:
// "ok" serves, "deaf" never listens, "sick" answers 500, "exit" ends with code 3, "oom" eats its memory,
// "idle" only waits, "done" ends well, "once" fails as long as the address in GATE answers 503, "flash" ends with
// code 5 shortly after it was first called healthy. One that serves can be told to fall sick, to recover, and to end
// with code 6.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.Printf("app %s in mode %q", os.Getenv("LAIN_RELEASE"), os.Getenv("MODE"))
	go stopOnSignal()
	switch os.Getenv("MODE") {
	case "exit":
		log.Print("cannot find my database")
		os.Exit(3)
	case "done":
		host, _ := os.Hostname()
		fmt.Printf("%s\nLAIN_INSTANCE_NO=%s\nHOSTNAME=%s\n", os.Getenv("SAY"), os.Getenv("LAIN_INSTANCE_NO"), host)
		return
	case "oom":
		eat()
	case "deaf", "idle":
		select {}
	case "once":
		passGate(os.Getenv("GATE"))
	}
	serve()
}

func stopOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	<-c
	log.Print("told to stop")
	time.Sleep(50 * time.Millisecond)
	os.Exit(0)
}

func eat() {
	time.Sleep(200 * time.Millisecond)
	var kept [][]byte
	for {
		b := make([]byte, 8<<20)
		for i := range b {
			b[i] = 1
		}
		kept = append(kept, b)
		log.Printf("ate %d MiB", 8*len(kept))
	}
}

func passGate(url string) {
	r, err := http.Get(url)
	if err != nil || r.StatusCode != http.StatusOK {
		log.Printf("gate is shut: %v", err)
		os.Exit(4)
	}
}

func serve() {
	var sick atomic.Bool
	sick.Store(os.Getenv("MODE") == "sick")
	var flash sync.Once
	var asked atomic.Int64 // since it last fell sick or recovered
	become := func(state bool) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) { sick.Store(state); asked.Store(0) }
	}
	http.HandleFunc("/fall-sick", become(true))
	http.HandleFunc("/recover", become(false))
	http.HandleFunc("/end", func(http.ResponseWriter, *http.Request) {
		time.AfterFunc(50*time.Millisecond, func() { os.Exit(6) })
	})
	http.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, asked.Load()) })
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		defer asked.Add(1)
		if sick.Load() {
			http.Error(w, "the database is gone", http.StatusInternalServerError)
		} else if os.Getenv("MODE") == "flash" {
			flash.Do(func() { time.AfterFunc(600*time.Millisecond, func() { os.Exit(5) }) })
		}
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintln(w, "HOSTNAME="+host)
		for _, kv := range os.Environ() {
			fmt.Fprintln(w, kv)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s %s\n", os.Getenv("LAIN_RELEASE"), os.Getenv("LAIN_INSTANCE_NO"))
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
