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

extension RedisClient {
    /// EVALSHA; a server that does not know the script (restarted, SCRIPT FLUSH) gets the source by EVAL, which also makes it known.
    public func evaluate(_ script: RedisScript, keys: [String], arguments: [String]) async throws(RedisError) -> RedisValue {
        do {
            return try await send(script.command("EVALSHA", script.sha1, keys: keys, arguments: arguments))
        } catch {
            guard error.code == .server, error.message.hasPrefix("NOSCRIPT") else { throw error.fromScript() }
        }
        do {
            return try await send(script.command("EVAL", script.source, keys: keys, arguments: arguments))
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
