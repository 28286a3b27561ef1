// One record for each partition by kafkajs, with its own log lines.
const fs = require("fs")
const { Kafka } = require("kafkajs")

const asked = JSON.parse(process.argv[2])
const conf = {
  clientId: "orders-service",
  brokers: asked.servers.split(","),
  connectionTimeout: 2000,
  requestTimeout: 4000,
  retry: { retries: 2, initialRetryTime: 200 },
}
if (asked.protocol.includes("SSL")) {
  conf.ssl = {}
  if (asked.ca) conf.ssl.ca = [fs.readFileSync(asked.ca, "utf-8")]
  if (asked.cert) {
    conf.ssl.cert = fs.readFileSync(asked.cert, "utf-8")
    conf.ssl.key = fs.readFileSync(asked.key, "utf-8")
  }
}
if (asked.mechanism) {
  conf.sasl = { mechanism: asked.mechanism.toLowerCase(), username: asked.user, password: asked.password }
}
const producer = new Kafka(conf).producer({ allowAutoTopicCreation: false })
const end = setTimeout(() => process.exit(1), asked.seconds * 1500)

async function main() {
  try {
    await producer.connect()
    const messages = [0, 1, 2].map(partition => ({ partition, value: "x".repeat(asked.size) }))
    await producer.send({ topic: asked.topic, messages, timeout: 3000 })
    console.log("sent")
  } catch (error) {
    console.error(error)
  }
  await producer.disconnect()
  clearTimeout(end)
}
main()
