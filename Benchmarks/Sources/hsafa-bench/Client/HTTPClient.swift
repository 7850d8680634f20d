import JSON

/// A keep-alive connection with one request under way.
final class HTTPConnection: Socket {
    private var body = HTTPBody()
    private var bytes: [UInt8] = []
    private var answer: ((Int, [UInt8]) -> Void)?

    /// - Parameter address: where the request says that it comes from, as a proxy would.
    func request(
        _ method: String, _ path: String, key: String?, json: String? = nil, address: String? = nil,
        _ answer: @escaping (Int, [UInt8]) -> Void
    ) {
        self.answer = answer
        body = HTTPBody()
        bytes = []
        var text = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if let key { text += "Authorization: Bearer \(key)\r\n" }
        if let address { text += "X-Forwarded-For: \(address)\r\n" }
        if let json { text += "Content-Type: application/json\r\nContent-Length: \(json.utf8.count)\r\n" }
        send((text + "\r\n" + (json ?? "")).utf8)
    }

    override func received(_ received: UnsafeRawBufferPointer) {
        do { try body.read(received) { bytes.append(contentsOf: $0) } } catch { disconnect() }
        if body.isDone || !isOpen { finish(isOpen ? body.status : 0) }
    }

    override func ended() { finish(0) }

    private func finish(_ status: Int) {
        let answer = answer
        self.answer = nil
        answer?(status, bytes)
    }
}

/// The gateway's API as the rows need it, one call after the other.
struct API {
    let poller: Poller
    let port: Int
    let key: String

    func call(_ method: String, _ path: String, _ json: String? = nil) throws -> JSONNode {
        let connection = try HTTPConnection(poller, port: port)
        defer { connection.disconnect() }
        var result: (status: Int, bytes: [UInt8])?
        connection.request(method, path, key: key, json: json) { result = ($0, $1) }
        try poller.run("\(method) \(path)", seconds: 15) { result != nil }
        guard let result, (200..<300).contains(result.status) else {
            throw BenchError("\(method) \(path): \(result?.status ?? 0) \(String(decoding: result?.bytes ?? [], as: UTF8.self))")
        }
        return try JSONDocument(parsing: result.bytes).root
    }

    func string(_ method: String, _ path: String, _ json: String? = nil, _ field: String) throws -> String {
        guard let text = try call(method, path, json)[field]?.string else {
            throw BenchError("\(method) \(path) answered without \(field)")
        }
        return text
    }

    /// An agent that plays a script; gives its id.
    func makeAgent(_ name: String, steps: String, repeatLast: Bool = false, maxSteps: Int = 10, tools: String = "[]") throws -> String {
        let config = """
            {"version":"1.0","agent":{"name":"\(name)"},"loop":{"maxSteps":\(maxSteps)},"tools":\(tools),"model":{"provider":"simulated",\
            "script":{"stamp":true,"repeatLast":\(repeatLast),"steps":\(steps)}}}
            """
        return try string("POST", "/api/agents", "{\"name\":\"\(name)\",\"config\":\(config)}", "agentId")
    }

    static func newRun(_ agent: String) -> String {
        "{\"agentId\":\"\(agent)\",\"initialMessages\":[{\"role\":\"user\",\"content\":\"Go.\"}]}"
    }

    func makeRun(_ agent: String) throws -> String { try string("POST", "/api/runs", Self.newRun(agent), "runId") }
}
