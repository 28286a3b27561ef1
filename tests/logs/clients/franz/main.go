// Sends one record to each partition with franz-go, and prints the log of the client.
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

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
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
	opts := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(a.Servers, ",")...),
		kgo.ClientID("orders-service"),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, nil)),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(2 * time.Second),
		kgo.RecordDeliveryTimeout(time.Duration(a.Seconds * float64(time.Second))),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DisableIdempotentWrite(),
		kgo.RecordRetries(2),
	}
	if strings.Contains(a.Protocol, "SSL") {
		conf := &tls.Config{}
		if a.Ca != "" {
			pem, _ := os.ReadFile(a.Ca)
			conf.RootCAs = x509.NewCertPool()
			conf.RootCAs.AppendCertsFromPEM(pem)
		}
		if a.Cert != "" {
			pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
			if err != nil {
				log.Fatal(err)
			}
			conf.Certificates = []tls.Certificate{pair}
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	switch a.Mechanism {
	case "PLAIN":
		opts = append(opts, kgo.SASL(plain.Auth{User: a.User, Pass: a.Password}.AsMechanism()))
	case "SCRAM-SHA-512":
		opts = append(opts, kgo.SASL(scram.Auth{User: a.User, Pass: a.Password}.AsSha512Mechanism()))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.Seconds*1.5*float64(time.Second)))
	defer cancel()
	for n := int32(0); n < 3; n++ {
		r := &kgo.Record{Topic: a.Topic, Partition: n, Value: []byte(strings.Repeat("x", a.Size))}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			log.Printf("record had a produce error: %v", err)
		}
	}
}
