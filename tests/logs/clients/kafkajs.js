// Sends one record to each partition with kafkajs, and prints the log of the client.
const fs = require("fs")
const { Kafka } = require("kafkajs")

const options = JSON.parse(process.argv[2])
const conf = {
  clientId: "orders-service",
  brokers: options.servers.split(","),
  connectionTimeout: 2000,
  requestTimeout: 4000,
  retry: { retries: 2, initialRetryTime: 200 },
}
if (options.protocol.includes("SSL")) {
  conf.ssl = {}
  if (options.ca) conf.ssl.ca = [fs.readFileSync(options.ca, "utf-8")]
  if (options.cert) {
    conf.ssl.cert = fs.readFileSync(options.cert, "utf-8")
    conf.ssl.key = fs.readFileSync(options.key, "utf-8")
  }
}
if (options.mechanism) {
  conf.sasl = { mechanism: options.mechanism.toLowerCase(), username: options.user, password: options.password }
}
const producer = new Kafka(conf).producer({ allowAutoTopicCreation: false })
const end = setTimeout(() => process.exit(1), options.seconds * 1500)

async function main() {
  try {
    await producer.connect()
    const messages = [0, 1, 2].map(partition => ({ partition, value: "x".repeat(options.size) }))
    await producer.send({ topic: options.topic, messages, timeout: 3000 })
    console.log("sent")
  } catch (error) {
    console.error(error)
  }
  await producer.disconnect()
  clearTimeout(end)
}
main()
