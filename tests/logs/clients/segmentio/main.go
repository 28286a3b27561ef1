// Sends one record to each partition with segmentio's kafka-go, and prints the log of the client.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

type options struct {
	Servers, Protocol, Ca, Cert, Key, Mechanism, User, Password, Topic string
	Size                                                               int
	Seconds                                                            float64
}

func main() {
	var a options
	if err := json.Unmarshal([]byte(os.Args[1]), &a); err != nil {
		log.Fatal(err)
	}
	t := &kafka.Transport{ClientID: "orders-service", DialTimeout: 2 * time.Second}
	if strings.Contains(a.Protocol, "SSL") {
		t.TLS = &tls.Config{}
		if a.Ca != "" {
			pem, _ := os.ReadFile(a.Ca)
			t.TLS.RootCAs = x509.NewCertPool()
			t.TLS.RootCAs.AppendCertsFromPEM(pem)
		}
		if a.Cert != "" {
			pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
			if err != nil {
				log.Fatal(err)
			}
			t.TLS.Certificates = []tls.Certificate{pair}
		}
	}
	switch a.Mechanism {
	case "PLAIN":
		t.SASL = plain.Mechanism{Username: a.User, Password: a.Password}
	case "SCRAM-SHA-512":
		t.SASL, _ = scram.Mechanism(scram.SHA512, a.User, a.Password)
	}
	w := &kafka.Writer{
		Addr: kafka.TCP(strings.Split(a.Servers, ",")...), Topic: a.Topic, Transport: t,
		MaxAttempts: 2, BatchTimeout: 10 * time.Millisecond, WriteTimeout: 3 * time.Second,
		ReadTimeout: 3 * time.Second, Balancer: &kafka.RoundRobin{},
		ErrorLogger: kafka.LoggerFunc(log.Printf),
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.Seconds*float64(time.Second)))
	defer cancel()
	m := kafka.Message{Value: []byte(strings.Repeat("x", a.Size))}
	if err := w.WriteMessages(ctx, m, m, m); err != nil {
		log.Printf("failed to write messages: %v", err)
	}
}
