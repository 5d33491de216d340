package load

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
)

// payload is the body of every POST, and what an honest echo answers to it.
type payload struct {
	body  []byte
	proof string
}

func newPayload(size int) payload {
	body := make([]byte, size)
	random := rand.NewChaCha8([32]byte{'l', 'a', 'i', 'n'})
	_, _ = random.Read(body) // never fails
	return payload{body: body, proof: fmt.Sprintf("%x %d", sha256.Sum256(body), size)}
}

// judge accepts an answer, and names the version that gave it, or says why the request is lost.
func (l *Load) judge(r request, a answer) (version string, err error) {
	if a.status != 200 {
		return "", loss(fmt.Sprintf("%s: status %d", r.method, a.status))
	}
	first, _, _ := strings.Cut(string(a.body), "\n")
	if r.method == "GET" {
		return first, nil
	}
	if first != l.payload.proof {
		return "", loss("POST: the body did not arrive as it was sent")
	}
	return "", nil
}
