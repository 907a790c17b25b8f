// One hop as Knative's activator and queue-proxy are: the reverse proxy of Go's standard library with their transport's
// pool (Knative's pkg/network/transports.go: 1000 idle connections, 100 a host) and buffer pool, and nothing else of what they do.
// Usage: reverse-proxy LISTEN-ADDRESS TARGET-URL
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
)

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32*1024)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

func main() {
	target, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 1000
	transport.MaxIdleConnsPerHost = 100
	transport.DisableCompression = true
	proxy.Transport = transport
	proxy.BufferPool = &buffers{}
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}
