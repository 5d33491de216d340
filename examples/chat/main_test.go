package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func TestEverybodyHearsWhatAnybodySays(t *testing.T) {
	r := newRoom()
	server := httptest.NewServer(routes(r))
	defer server.Close()
	var people []*websocket.Conn
	for range 3 {
		c, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/room", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		people = append(people, c)
	}
	for i, c := range people { // who hears himself is in
		if err := c.WriteMessage(websocket.TextMessage, []byte{byte('a' + i)}); err != nil {
			t.Fatal(err)
		}
		if _, text, err := c.ReadMessage(); err != nil || len(text) != 1 {
			t.Fatalf("%q, %v", text, err)
		}
	}
	r.close()
	for {
		if _, _, err := people[0].ReadMessage(); websocket.IsCloseError(err, websocket.CloseGoingAway) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
