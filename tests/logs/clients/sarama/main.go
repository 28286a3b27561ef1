// Sends one record to each partition with sarama, and prints the log of the client.
package main

import (
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

var _ = sha512.New

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
	sarama.Logger = log.New(os.Stderr, "[sarama] ", log.LstdFlags)
	c := sarama.NewConfig()
	c.ClientID = "orders-service"
	c.Net.DialTimeout = 2 * time.Second
	c.Net.ReadTimeout = 3 * time.Second
	c.Metadata.Retry.Max = 1
	c.Metadata.AllowAutoTopicCreation = false
	c.Producer.Retry.Max = 1
	c.Producer.Timeout = 3 * time.Second
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	if strings.Contains(a.Protocol, "SSL") {
		c.Net.TLS.Enable = true
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
		c.Net.TLS.Config = conf
	}
	if a.Mechanism != "" {
		c.Net.SASL.Enable = true
		c.Net.SASL.Mechanism = sarama.SASLMechanism(a.Mechanism)
		c.Net.SASL.User, c.Net.SASL.Password = a.User, a.Password
	}
	time.AfterFunc(time.Duration(a.Seconds*1.5*float64(time.Second)), func() { os.Exit(1) })
	p, err := sarama.NewSyncProducer(strings.Split(a.Servers, ","), c)
	if err != nil {
		log.Fatalf("Failed to start Sarama producer: %v", err)
	}
	for n := int32(0); n < 3; n++ {
		m := &sarama.ProducerMessage{Topic: a.Topic, Partition: n, Value: sarama.StringEncoder(strings.Repeat("x", a.Size))}
		if _, _, err := p.SendMessage(m); err != nil {
			log.Printf("Failed to store your data: %v", err)
		}
	}
}
