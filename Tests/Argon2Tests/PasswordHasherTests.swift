@testable import Argon2
import Dispatch
import Testing

@Suite(.timeLimit(.minutes(5)))
struct PasswordHasherTests {
    private static let cheap = Argon2Parameters(memoryKiB: 64, iterations: 1)
    private static let salt = [UInt8](0..<16)

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// From the test suite of the reference implementation.
    @Test(arguments: [
        (256, 1, "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
        (256, 2, "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
        (65_536, 1, "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    ])
    func `the published vectors come out and verify`(memory: Int, lanes: Int, phc: String) async throws {
        let parameters = Argon2Parameters(memoryKiB: memory, iterations: 2, parallelism: lanes, saltBytes: 8)
        let hasher = PasswordHasher(threads: 1, maxQueued: 4, parameters: parameters)
        #expect(try await hasher.hash(bytes("password"), salt: bytes("somesalt")) == phc)
        #expect(try await hasher.verify(bytes("password"), against: phc))
        #expect(try await !hasher.verify(bytes("passwore"), against: phc))
    }

    @Test func `only the secret that was hashed verifies`() async throws {
        let hasher = PasswordHasher(threads: 2, maxQueued: 8, parameters: Self.cheap)
        let phc = try await hasher.hash(bytes("correct"), salt: Self.salt)
        #expect(phc.hasPrefix("$argon2id$v=19$m=64,t=1,p=1$"))
        #expect(try await hasher.verify(bytes("correct"), against: phc))
        for wrong in ["", "Correct", "correct\u{0}", "correc"] { #expect(try await !hasher.verify(bytes(wrong), against: phc)) }
        let empty = try await hasher.hash([], salt: Self.salt)
        #expect(try await hasher.verify([], against: empty))
        #expect(try await !hasher.verify([0], against: empty))
        let last = phc.last == "A" ? "E" : "A"
        #expect(try await !hasher.verify(bytes("correct"), against: phc.dropLast() + last))
    }

    @Test(arguments: [
        "", "$", "plain", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA$",
        "$argon2id$v=19$m=064,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=-64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAB", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ=$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA",
    ])
    func `a string that is no argon2id hash is malformed, not wrong`(phc: String) async throws {
        let hasher = PasswordHasher(threads: 1, maxQueued: 4, parameters: Self.cheap)
        await #expect(throws: PasswordHasherError.malformedHash) { try await hasher.verify(bytes("x"), against: phc) }
    }

    @Test(arguments: ["m=4294967295,t=1,p=1", "m=64,t=4294967295,p=1", "m=4096,t=1,p=255", "m=7,t=1,p=1"])
    func `a stored cost beyond reason is malformed before it costs anything`(costs: String) async {
        let hasher = PasswordHasher(threads: 1, maxQueued: 4, parameters: Self.cheap)
        let phc = "$argon2id$v=19$\(costs)$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
        await #expect(throws: PasswordHasherError.malformedHash) { try await hasher.verify(bytes("x"), against: phc) }
    }

    @Test func `a salt or parameters that no reader would accept are refused`() async {
        let hasher = PasswordHasher(threads: 1, maxQueued: 4, parameters: Self.cheap)
        await #expect(throws: PasswordHasherError.failed("the salt must be 16 bytes, is 3")) {
            try await hasher.hash(bytes("x"), salt: [1, 2, 3])
        }
        let odd = PasswordHasher(threads: 1, maxQueued: 4, parameters: Argon2Parameters(memoryKiB: 64, iterations: 0))
        await #expect(throws: PasswordHasherError.failed("parameters out of range")) { try await odd.hash(bytes("x"), salt: Self.salt) }
    }

    @Test func `a hash of lower cost is weak, one of equal or higher cost is not, and what is none is neither`() async throws {
        let phc = try await PasswordHasher(threads: 1, maxQueued: 4, parameters: Self.cheap).hash(bytes("x"), salt: Self.salt)
        var dearer = [Self.cheap, Self.cheap]
        dearer[0].memoryKiB = 128
        dearer[1].iterations = 2
        for parameters in dearer { #expect(PasswordHasher(threads: 1, maxQueued: 1, parameters: parameters).isWeak(phc)) }
        var cheaper = Self.cheap
        cheaper.memoryKiB = 32
        for parameters in [Self.cheap, cheaper] { #expect(!PasswordHasher(threads: 1, maxQueued: 1, parameters: parameters).isWeak(phc)) }
        #expect(!PasswordHasher(threads: 1, maxQueued: 1, parameters: dearer[0]).isWeak("plain"))
    }

    @Test func `a burst beyond the queue is refused as overloaded, and the rest is answered`() async {
        let hasher = PasswordHasher(threads: 1, maxQueued: 2, parameters: Self.cheap)
        // The one thread is busy until all but two of the burst were refused.
        let gate = DispatchSemaphore(value: 0)
        #expect(await WorkerPoolTests.block(hasher.pool, until: gate) == nil)
        let outcomes = await withTaskGroup(of: PasswordHasherError?.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    do throws(PasswordHasherError) {
                        _ = try await hasher.hash([1], salt: Self.salt)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var outcomes: [PasswordHasherError?] = []
            for await outcome in group {
                outcomes.append(outcome)
                if outcomes.count == 18 { gate.signal() }
            }
            return outcomes
        }
        #expect(outcomes == Array(repeating: .overloaded, count: 18) + [nil, nil])
        #expect(hasher.queuedCount == 0)
        await #expect(throws: Never.self) { try await hasher.hash([1], salt: Self.salt) }
    }

    @Test func `after the shutdown everyone is refused`() async {
        let hasher = PasswordHasher(threads: 2, maxQueued: 4, parameters: Self.cheap)
        hasher.shutDown()
        hasher.shutDown()
        await #expect(throws: PasswordHasherError.shutDown) { try await hasher.hash([1], salt: Self.salt) }
        await #expect(throws: PasswordHasherError.shutDown) {
            try await hasher.verify([1], against: "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
        }
    }
}
