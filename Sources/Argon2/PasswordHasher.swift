import CArgon2

/// argon2id (RFC 9106) on threads of its own behind a bounded queue; dropping it shuts it down.
public final class PasswordHasher: Sendable {
    /// Internal so that a test can keep its threads busy.
    let pool: WorkerPool
    private let parameters: Argon2Parameters

    /// `threads` hashes run at a time, each with `parameters.memoryKiB`; `maxQueued` more may wait.
    public init(threads: Int, maxQueued: Int, parameters: Argon2Parameters = .init()) {
        pool = WorkerPool(threads: threads, maxQueued: maxQueued)
        self.parameters = parameters
    }

    deinit { pool.shutDown() }

    /// The PHC string. The salt must be fresh random bytes, `parameters.saltBytes` of them.
    public func hash(_ secret: [UInt8], salt: [UInt8]) async throws(PasswordHasherError) -> String {
        let parameters = parameters
        guard salt.count == parameters.saltBytes else {
            throw .failed("the salt must be \(parameters.saltBytes) bytes, is \(salt.count)")
        }
        guard let memory = UInt32(exactly: parameters.memoryKiB), let iterations = UInt32(exactly: parameters.iterations),
            let lanes = UInt32(exactly: parameters.parallelism), (0...128).contains(parameters.tagBytes)
        else { throw .failed("parameters out of range") }
        let blank = PHCString(
            memoryKiB: memory, iterations: iterations, parallelism: lanes, salt: salt,
            tag: [UInt8](repeating: 0, count: parameters.tagBytes))
        // What this writes must be what it reads.
        guard PHCString(blank.text) == blank else { throw .failed("parameters out of range") }
        var phc = blank
        phc.tag = try await run { Self.tag(of: secret, like: blank) }
        return phc.text
    }

    /// Costs what the stored string says. Compares in constant time.
    public func verify(_ secret: [UInt8], against phc: String) async throws(PasswordHasherError) -> Bool {
        guard let stored = PHCString(phc) else { throw .malformedHash }
        let tag = try await run { Self.tag(of: secret, like: stored) }
        return Self.constantTimeEquals(tag, stored.tag)
    }

    /// True when a guess at the string costs an attacker less than one at what is made now, memory times passes (RFC 9106 §4); so a
    /// process with lower parameters than another's does not undo the other's work. False for what is no such string.
    public func isWeak(_ phc: String) -> Bool {
        guard let stored = PHCString(phc) else { return false }
        return Int(stored.memoryKiB) * Int(stored.iterations) < parameters.memoryKiB * parameters.iterations
    }

    /// What `hash` asks of its salt.
    public var saltBytes: Int { parameters.saltBytes }

    /// Refuses new work and ends the threads after what is running; queued callers get `.shutDown`.
    public func shutDown() { pool.shutDown() }

    public var queuedCount: Int { pool.queuedCount }

    private func run(
        _ work: @escaping @Sendable () -> Result<[UInt8], PasswordHasherError>
    ) async throws(PasswordHasherError) -> [UInt8] {
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<[UInt8], PasswordHasherError>, Never>) in
            let refusal = pool.submit { mayRun in
                continuation.resume(returning: mayRun ? work() : .failure(.shutDown))
            }
            switch refusal {
            case nil: break
            case .full: continuation.resume(returning: .failure(.overloaded))
            case .shutDown: continuation.resume(returning: .failure(.shutDown))
            }
        }
        return try result.get()
    }

    private static func tag(of secret: [UInt8], like phc: PHCString) -> Result<[UInt8], PasswordHasherError> {
        let count = phc.tag.count
        var tag = [UInt8](repeating: 0, count: count)
        let status = argon2id_hash_raw(
            phc.iterations, phc.memoryKiB, phc.parallelism, secret, secret.count, phc.salt, phc.salt.count, &tag, count)
        guard status == ARGON2_OK.rawValue else {
            return .failure(.failed(String(cString: argon2_error_message(status))))
        }
        return .success(tag)
    }

    /// Differences are gathered without a branch; the tags' lengths are public.
    private static func constantTimeEquals(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        guard first.count == second.count else { return false }
        var difference: UInt8 = 0
        for index in first.indices { difference |= first[index] ^ second[index] }
        return difference == 0
    }
}
