import CLinux
import Dispatch
import Synchronization
import Testing

@testable import Argon2

@Suite(.timeLimit(.minutes(5)))
struct WorkerPoolTests {
    /// Occupies one thread until opened.
    static func block(_ pool: WorkerPool, until gate: DispatchSemaphore) async -> WorkerPool.Refusal? {
        await withCheckedContinuation { continuation in
            let refusal = pool.submit { _ in
                continuation.resume(returning: nil)
                gate.wait()
            }
            if let refusal { continuation.resume(returning: refusal) }
        }
    }

    private func run(_ pool: WorkerPool) async -> Bool? {
        await withCheckedContinuation { continuation in
            if pool.submit({ continuation.resume(returning: $0) }) != nil { continuation.resume(returning: nil) }
        }
    }

    @Test func `a full queue refuses, and taken places are free again`() async {
        let pool = WorkerPool(threads: 1, maxQueued: 3)
        let gate = DispatchSemaphore(value: 0)
        #expect(await Self.block(pool, until: gate) == nil)
        #expect(pool.queuedCount == 0)
        let answers = Mutex<[Bool]>([])
        for count in 1...3 {
            #expect(pool.submit { mayRun in answers.withLock { $0.append(mayRun) } } == nil)
            #expect(pool.queuedCount == count)
        }
        #expect(pool.submit { _ in Issue.record("a refused job ran") } == .full)
        #expect(pool.queuedCount == 3)
        gate.signal()
        // The one thread works in order: once this ran, so did those before it. Its place may be free only after a moment.
        var answer: Bool?
        while answer == nil { answer = await run(pool) }
        #expect(answer == true)
        #expect(answers.withLock { $0 } == [true, true, true])
        #expect(pool.queuedCount == 0)
        for _ in 0..<500 { #expect(await run(pool) == true) }
        pool.shutDown()
    }

    @Test func `a shutdown answers the queued at once, lets the running finish and ends the threads`() async {
        let gate = DispatchSemaphore(value: 0)
        weak var ended: WorkerPool?
        do {
            let pool = WorkerPool(threads: 2, maxQueued: 100)
            ended = pool
            #expect(await Self.block(pool, until: gate) == nil)
            #expect(await Self.block(pool, until: gate) == nil)
            let answers = Mutex<[Bool]>([])
            for _ in 0..<100 { #expect(pool.submit { mayRun in answers.withLock { $0.append(mayRun) } } == nil) }
            pool.shutDown()
            #expect(answers.withLock { $0 } == [Bool](repeating: false, count: 100))
            #expect(pool.queuedCount == 0)
            #expect(pool.submit { _ in Issue.record("a refused job ran") } == .shutDown)
        }
        gate.signal()
        gate.signal()
        let deadline = ContinuousClock.now + .seconds(60)
        while ended != nil, ContinuousClock.now < deadline { await Task.yield() }
        #expect(ended == nil)
    }

    @Test func `jobs run on as many threads as asked for`() async {
        let pool = WorkerPool(threads: 3, maxQueued: 10)
        let gate = DispatchSemaphore(value: 0)
        // Would wait for ever on two threads.
        for _ in 0..<3 { #expect(await Self.block(pool, until: gate) == nil) }
        for _ in 0..<3 { gate.signal() }
        pool.shutDown()
    }

    @Test func `jobs run behind everything else that wants a core`() async {
        let pool = WorkerPool(threads: 1, maxQueued: 10)
        defer { pool.shutDown() }
        let before = clinux_thread_nice()
        let nice = await withCheckedContinuation { continuation in
            #expect(pool.submit { _ in continuation.resume(returning: clinux_thread_nice()) } == nil)
        }
        #expect(nice == max(before, WorkerPool.nice))
        #expect(clinux_thread_nice() == before)
    }

    @Test func `many jobs are each run once`() async {
        let pool = WorkerPool(threads: 4, maxQueued: 2_000)
        let count = await withTaskGroup(of: Bool?.self) { group in
            for _ in 0..<2_000 { group.addTask { await run(pool) } }
            return await group.reduce(into: 0) { $0 += $1 == true ? 1 : 0 }
        }
        #expect(count == 2_000)
        pool.shutDown()
    }
}
