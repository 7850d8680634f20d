import JSON
import Synchronization

/// One era's way to ask a server and to get its answer.
protocol Dialect {
    var era: MCPEra { get }
    /// The `result` of the answer. Throws `MCPError`, or `CancellationError` when the task is canceled; the server is told then.
    func request(_ call: RPCCall) async throws -> JSONNode
}

/// Numbers of requests: none is used twice in a session.
final class RequestIDs: Sendable {
    private let last = Atomic<Int>(0)

    func next() -> Int { last.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// What a server tells beside its answers.
final class ServerNotices: Sendable {
    private let changed = Atomic<Bool>(false)

    /// True once after each time the server said that its tools are others now.
    func takeToolsChanged() -> Bool { changed.exchange(false, ordering: .relaxed) }

    func hear(_ method: String) {
        if method == "notifications/tools/list_changed" { changed.store(true, ordering: .relaxed) }
    }
}

/// Waits for the answer to one request among everything else that a server sends.
struct AnswerWaiting {
    let requestID: Int
    let notices: ServerNotices
    private var serverRequests: Int

    init(requestID: Int, notices: ServerNotices, limits: MCPLimits) {
        self.requestID = requestID
        self.notices = notices
        serverRequests = limits.maxServerRequests
    }

    enum Step {
        case answer(JSONNode)
        /// A request of the server's, to be answered.
        case asked(id: RawJSON, method: String)
        /// Of no concern.
        case ignored
    }

    /// Throws the server's own error where that is the answer.
    mutating func take(_ message: RPCMessage) throws(MCPError) -> Step {
        switch message {
        case .result(let id, let result):
            // An answer to nobody's request is no reason to fail the one that is waited for.
            return id == requestID ? .answer(result) : .ignored
        case .failure(let id, let failure):
            // Without an id: a server that could not read the request, and there is only this one.
            guard id == nil || id == requestID else { return .ignored }
            throw failure.error()
        case .request(let id, let method):
            serverRequests -= 1
            guard serverRequests >= 0 else { throw .malformed("the server asks too many questions") }
            return .asked(id: id, method: method)
        case .notification(let method, _):
            notices.hear(method)
            return .ignored
        }
    }
}
