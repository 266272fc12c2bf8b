// Reads, parses and routes a stream of events as a Node program would: the count when it ends.
import http from "node:http"

const queues = new Map()
for (const id of process.argv.slice(3)) queues.set(id, [])
let rest = ""
let count = 0
let began = 0n
const seen = new Set()

http.get({ host: "127.0.0.1", port: Number(process.argv[2]), path: "/global/event" }, (response) => {
  response.setEncoding("utf8")
  response.on("data", (chunk) => {
    if (!began) began = process.hrtime.bigint()
    rest += chunk
    const blocks = rest.split("\n\n")
    rest = blocks.pop()
    for (const block of blocks) {
      const event = JSON.parse(block.slice(6))
      count += 1
      const queue = queues.get(event.payload.properties?.sessionID)
      if (!queue || seen.has(event.payload.id)) continue
      seen.add(event.payload.id)
      if (seen.size > 16384) seen.clear()
      queue.push(event)
      if (queue.length > 256) queue.length = 0
    }
  })
  response.on("end", () => {
    console.log(count, Number(process.hrtime.bigint() - began) / 1e9)
    process.exit(0)
  })
})
