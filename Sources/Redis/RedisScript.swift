/// A Lua script. The server knows it by the SHA-1 of its source, so that a call normally sends 40 bytes and not the source.
public struct RedisScript: Sendable {
    public let source: String
    /// 40 lower case hex digits.
    public let sha1: String

    public init(_ source: String) {
        self.source = source
        sha1 = SHA1.hexDigest(of: Array(source.utf8))
    }

    func command(_ name: StaticString, _ script: String, keys: [String], arguments: [String]) -> RedisCommand {
        var command = RedisCommand(name)
        command.append(script)
        command.append(keys.count)
        for key in keys { command.append(key) }
        for argument in arguments { command.append(argument) }
        return command
    }
}

/// A script with its keys and arguments, encoded once for callers that ask the same again and again.
public struct RedisScriptCall: Sendable {
    fileprivate let script: RedisScript
    fileprivate let keys: [String]
    fileprivate let arguments: [String]
    fileprivate let bySHA1: RedisCommand

    public init(_ script: RedisScript, keys: [String], arguments: [String]) {
        self.script = script
        self.keys = keys
        self.arguments = arguments
        bySHA1 = script.command("EVALSHA", script.sha1, keys: keys, arguments: arguments)
    }

    /// With the script's source: for `post`, which hears of no NOSCRIPT.
    public var bySource: RedisCommand { script.command("EVAL", script.source, keys: keys, arguments: arguments) }
}

extension RedisClient {
    public func evaluate(_ script: RedisScript, keys: [String], arguments: [String]) async throws(RedisError) -> RedisValue {
        try await evaluate(RedisScriptCall(script, keys: keys, arguments: arguments))
    }

    /// EVALSHA; a server that does not know the script (restarted, SCRIPT FLUSH) gets the source by EVAL, which also makes it known.
    public func evaluate(_ call: RedisScriptCall, _ order: Order = .inOrder) async throws(RedisError) -> RedisValue {
        do {
            return try await send(call.bySHA1, order)
        } catch {
            guard error.code == .server, error.message.hasPrefix("NOSCRIPT") else { throw error.fromScript() }
        }
        do {
            return try await send(call.bySource, order)
        } catch {
            throw error.fromScript()
        }
    }
}

extension RedisError {
    /// Redis does not roll back: what a script wrote before its error stays.
    fileprivate func fromScript() -> RedisError {
        code == .server ? RedisError(code: .server, message: message, mayHaveRun: true) : self
    }
}
