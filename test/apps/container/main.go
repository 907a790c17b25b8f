// The stand-in apps of the book once more, as one static program for images FROM scratch: the first argument says which
// of them it is. They answer as those beside this folder do; without anything but Go's own library.
package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	apps := map[string]http.HandlerFunc{
		"autoscale-go":      autoscale,
		"grpc-ping":         grpcPing,
		"helloworld-go":     helloworld,
		"helloworld-nodejs": helloworldNodejs,
		"rest-api-go":       restAPI,
		"websocket-chat":    (&chat{clients: map[net.Conn]*sync.Mutex{}}).serve,
	}
	if len(os.Args) < 2 || apps[os.Args[1]] == nil {
		log.Fatalf("which app? found %q", os.Args[1:])
	}
	name := os.Args[1]
	port := env("PORT", "8080")
	// These have their port fixed; where pods share the machine's network no two of them could run.
	if (name == "rest-api-go" || name == "grpc-ping" || name == "websocket-chat") && os.Getenv("SHARED_NETWORK") == "" {
		port = "8080"
	}
	if name == "helloworld-go" {
		say("INFO", "Hello world sample started.")
	}
	// The first process of a container has to ask for SIGTERM, else the kernel keeps it from it.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { <-stop; os.Exit(0) }()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: ":" + port, Handler: apps[name], Protocols: protocols}
	log.Fatal(server.ListenAndServe())
}

func say(level, message string) {
	fmt.Printf("%s %s %s\n", time.Now().UTC().Add(8*time.Hour).Format("2006-01-02 15:04:05"), level, message)
}

func helloworld(w http.ResponseWriter, _ *http.Request) {
	say("INFO", "Hello world received a request.")
	fmt.Fprintf(w, "Hello %s!\n", env("TARGET", "World"))
	if time.Now().Unix()%10 < 4 {
		say("ERROR", "http handler error")
	} else {
		say("INFO", "http handler success")
	}
}

func helloworldNodejs(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "Hello %s!", env("TARGET", "World"))
}

func restAPI(w http.ResponseWriter, r *http.Request) {
	resource := env("RESOURCE", "NOT SPECIFIED")
	if r.URL.Path == "/"+resource {
		fmt.Fprintf(w, "%s ticker not found!, require /%s/{ticker}\n", resource, resource)
		return
	}
	fmt.Fprintf(w, "Welcome to the %s app! \n", resource)
}

func autoscale(w http.ResponseWriter, r *http.Request) {
	values := map[string]int{}
	for _, name := range []string{"sleep", "prime", "bloat"} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		values[name] = value
	}
	if prime := values["prime"]; prime > 0 {
		if found := largestPrime(prime); found > 0 {
			fmt.Fprintf(w, "The largest prime less than %d is %d.\n", prime, found)
		} else {
			fmt.Fprintf(w, "There are no primes smaller than %d.\n", prime)
		}
	}
	if bloat := values["bloat"]; bloat > 0 {
		block := make([]byte, bloat<<20)
		block[0], block[len(block)-1] = 1, 1
		fmt.Fprintf(w, "Allocated %d Mb of memory.\n", bloat)
	}
	if sleep := values["sleep"]; sleep > 0 {
		start := time.Now()
		time.Sleep(time.Duration(sleep) * time.Millisecond)
		fmt.Fprintf(w, "Slept for %.2f milliseconds.\n", float64(time.Since(start).Microseconds())/1000)
	}
}

func largestPrime(below int) int {
	composite := make([]bool, below+1)
	largest := 0
	for n := 2; n <= below; n++ {
		if composite[n] {
			continue
		}
		largest = n
		for multiple := n * n; multiple <= below; multiple += n {
			composite[multiple] = true
		}
	}
	return largest
}

// gRPC by hand: messages of one string, field 1.
func grpcPing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	reply := func(text string) string { return text + " - pong" }
	switch r.URL.Path {
	case "/ping.PingService/Ping":
	case "/ping.PingService/PingStream":
		reply = func(text string) string {
			now := time.Now().UTC().Format(time.RFC3339Nano)
			fmt.Printf("Replying to ping %s at %s\n", text, now)
			return "pong " + now
		}
	default:
		w.Header().Set("Grpc-Status", "12")
		return
	}
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		text, err := readMessage(r.Body)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				log.Print(err)
			}
			break
		}
		w.Write(message(reply(text)))
		w.(http.Flusher).Flush()
	}
	w.Header().Set("Grpc-Status", "0")
}

func readMessage(r io.Reader) (string, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > 64<<20 {
		return "", fmt.Errorf("a message of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", err
	}
	if len(body) == 0 {
		return "", nil
	}
	length, n := binary.Uvarint(body[1:])
	if n <= 0 || uint64(len(body)-1-n) < length {
		return "", errors.New("no string in field 1")
	}
	return string(body[1+n : 1+n+int(length)]), nil
}

func message(text string) []byte {
	body := binary.AppendUvarint([]byte{10}, uint64(len(text)))
	body = append(body, text...)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

const page = `<!DOCTYPE html><title>Chat</title><div id="log"></div><form id="form"><input id="msg"><input type="submit" value="Send"></form>
`

type chat struct {
	mutex   sync.Mutex
	clients map[net.Conn]*sync.Mutex
}

func (c *chat) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, page)
		return
	}
	if r.URL.Path != "/ws" {
		http.NotFound(w, r)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if parsed, err := url.Parse(origin); err != nil || parsed.Host != r.Host {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer connection.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	c.mutex.Lock()
	c.clients[connection] = new(sync.Mutex)
	c.mutex.Unlock()
	defer func() {
		c.mutex.Lock()
		delete(c.clients, connection)
		c.mutex.Unlock()
	}()
	c.read(connection, buffered.Reader)
}

func (c *chat) send(connection net.Conn, opcode byte, payload []byte) {
	c.mutex.Lock()
	writing := c.clients[connection]
	c.mutex.Unlock()
	if writing == nil {
		return
	}
	head := []byte{128 | opcode, byte(len(payload))}
	if len(payload) > 125 {
		head = []byte{128 | opcode, 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	writing.Lock()
	defer writing.Unlock()
	connection.Write(append(head, payload...))
}

func (c *chat) read(connection net.Conn, reader *bufio.Reader) {
	head := make([]byte, 2)
	for {
		if _, err := io.ReadFull(reader, head); err != nil {
			return
		}
		size := int(head[1] & 127)
		if size == 126 {
			long := make([]byte, 2)
			if _, err := io.ReadFull(reader, long); err != nil {
				return
			}
			size = int(binary.BigEndian.Uint16(long))
		}
		if size == 127 || size > 512 {
			c.send(connection, 8, []byte{3, 241})
			return
		}
		rest := make([]byte, 4+size)
		if _, err := io.ReadFull(reader, rest); err != nil {
			return
		}
		payload := rest[4:]
		for i := range payload {
			payload[i] ^= rest[i%4]
		}
		switch head[0] & 15 {
		case 8:
			c.send(connection, 8, payload)
			return
		case 9:
			c.send(connection, 10, payload)
		case 1:
			text := strings.ReplaceAll(strings.TrimSpace(string(payload)), "\n", " ")
			c.mutex.Lock()
			all := make([]net.Conn, 0, len(c.clients))
			for client := range c.clients {
				all = append(all, client)
			}
			c.mutex.Unlock()
			for _, client := range all {
				c.send(client, 1, []byte(text))
			}
		}
	}
}
