/// Tool names as a vendor takes them: OpenAI allows letters, digits, `_` and `-` only, up to 64 (Chat Completions, `function.name`).
/// A gateway's name such as `fs.read` becomes `fs_read`; two that would become the same are told apart by a number.
struct WireNames: Sendable {
    private var wire: [String: String] = [:]
    private var original: [String: String] = [:]

    init(_ names: [String]) {
        // Names that need no change keep themselves, so that a made one never takes theirs.
        for name in names where Self.sanitized(name) == name { add(name, as: name) }
        for name in names where wire[name] == nil {
            let base = Self.sanitized(name)
            var candidate = base
            var number = 2
            while original[candidate] != nil {
                let suffix = "_\(number)"
                candidate = String(base.prefix(64 - suffix.utf8.count)) + suffix
                number += 1
            }
            add(name, as: candidate)
        }
    }

    private mutating func add(_ name: String, as wireName: String) {
        wire[name] = wireName
        original[wireName] = name
    }

    func wireName(_ name: String) -> String { wire[name] ?? Self.sanitized(name) }

    /// What the model meant; a name that it made up stays as it is.
    func originalName(_ wireName: String) -> String { original[wireName] ?? wireName }

    private static func sanitized(_ name: String) -> String {
        let bytes = name.utf8.prefix(64).map { byte -> UInt8 in
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "_"), UInt8(ascii: "-"): byte
            default: UInt8(ascii: "_")
            }
        }
        return bytes.isEmpty ? "tool" : String(decoding: bytes, as: UTF8.self)
    }
}

extension ModelRequest {
    /// The same request in the vendor's names.
    func named(_ names: WireNames) -> ModelRequest {
        var request = self
        for index in request.tools.indices { request.tools[index].name = names.wireName(request.tools[index].name) }
        request.messages = messages.map { message in
            switch message {
            case .system, .user: return message
            case .assistant(let text, var calls):
                for index in calls.indices { calls[index].name = names.wireName(calls[index].name) }
                return .assistant(text: text, calls: calls)
            case .toolResult(let id, let name, let content, let isError):
                return .toolResult(providerCallID: id, name: names.wireName(name), content: content, isError: isError)
            }
        }
        return request
    }
}
