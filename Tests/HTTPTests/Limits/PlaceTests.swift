import Domain
import HsafaClient
import JSON
import Storage
import TestSupport
import Testing

/// What is limited for as long as it is open: streams and devices.
@Suite(.timeLimit(.minutes(5)))
struct PlaceTests {
    @Test func `a stream beyond the limit is refused before its head, and one that ends makes room`() async throws {
        let (front, back) = try await TestGateway.replicas.value
        let tenant = try await TestTenant.limited([.streams: 2], on: front)
        let run = try await tenant.waitingRun()
        try await {
            var first = try await EventStream.open(tenant, run)
            var second = try await EventStream.open(tenant.through(back), run)
            #expect(try await first.receive())
            #expect(try await second.receive())
            for client in [tenant.client, tenant.through(back)] {
                let refused = try await client.send("GET", "/api/runs/\(run)/stream")
                try refused.expectProblem(429, "stream_limit_exceeded")
                #expect(refused.header("Retry-After") == "1")
                #expect(refused.header("RateLimit") != nil)
            }
        }()
        // Both went out of scope, so their connections are closed.
        #expect(
            try await eventually {
                let stream = try await EventStream.open(tenant, run)
                return stream.status == 200
            })
    }

    @Test func `answers that open no stream hold no place`() async throws {
        let tenant = try await TestTenant.limited([.streams: 1])
        let run = try await tenant.run(steps: [Config.says])
        let last = try await tenant.events(run).count
        for _ in 0..<5 {
            #expect(try await tenant.send("GET", "/api/runs/\(unknownID())/stream").status == 404)
            #expect(try await tenant.send("GET", "/api/runs/\(run)/stream?since=\(last)").status == 204)
            #expect(try await tenant.send("GET", "/api/runs/\(run)/stream?since=x").status == 400)
        }
        // A stream that came to its end as well.
        for _ in 0..<5 {
            #expect(
                try await eventually { try await EventStream.whole(tenant, run).status == 200 }, "the place is still taken")
        }
    }

    @Test func `a device beyond the limit is told why and closed, and the same device takes its own place over`() async throws {
        let (front, back) = try await TestGateway.replicas.value
        let tenant = try await TestTenant.limited([.devices: 1], on: front)
        let (first, second) = (try await tenant.device("one"), try await tenant.device("two"))
        try await first.connected(front) { _ async throws in
            for gateway in [front, back] {
                try await RawSocket.open(gateway) { socket async throws in
                    try await socket.register(second)
                    let error = try await socket.next("error")
                    #expect(error["code"]?.string == "device_limit_exceeded")
                    #expect(error["retryable"]?.bool == true)
                    #expect(try await socket.closing() == DeviceCloseCode.tooManyConnections)
                }
            }
            try await first.connected(back) { socket async throws in
                // The place was not given back by the connection that was taken over.
                try await RawSocket.open(front) { other async throws in
                    try await other.register(second)
                    #expect(try await other.next("error")["code"]?.string == "device_limit_exceeded")
                }
            }
        }
        #expect(
            try await eventually {
                try await RawSocket.open(front) { socket async throws in
                    try await socket.register(second)
                    do {
                        _ = try await socket.next("device.registered")
                        return true
                    } catch is RawSocket.Closed { return false }
                }
            }, "the place came free")
    }
}
