import Domain
import Foundation
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Runtime

/// Look-ups that take as long as their tenant's names want, and those of others beside them.
@Suite(.timeLimit(.minutes(3)))
struct SystemResolverTests {
    /// Names that begin with `hole` are not answered before it is released.
    private final class Holes: Sendable {
        private let gate = NSCondition()
        private let state = Mutex((isOpen: false, asked: [String: Int]()))

        func asked(_ prefix: String) -> Int {
            state.withLock { state in state.asked.reduce(0) { $0 + ($1.key.hasPrefix(prefix) ? $1.value : 0) } }
        }

        func ask(_ name: String) -> [IPAddress]? {
            state.withLock { $0.asked[name, default: 0] += 1 }
            gate.lock()
            while name.hasPrefix("hole"), !state.withLock({ $0.isOpen }) { gate.wait() }
            gate.unlock()
            return IPAddress("192.0.2.1").map { [$0] }
        }

        func open() {
            gate.lock()
            state.withLock { $0.isOpen = true }
            gate.broadcast()
            gate.unlock()
        }
    }

    private static func with(_ body: (SystemResolver, Holes) async throws -> Void) async throws {
        let holes = Holes()
        let resolver = SystemResolver(loops: MultiThreadedEventLoopGroup.singleton) { holes.ask($0) }
        defer {
            holes.open()
            resolver.shutDown()
        }
        try await body(resolver, holes)
    }

    private static func code(_ resolver: SystemResolver, _ name: String, _ tenant: TenantID) async -> EgressError.Code? {
        do throws(EgressError) {
            _ = try await resolver.addresses(of: name, for: tenant)
            return nil
        } catch { return error.code }
    }

    @Test func `tenants whose names nobody answers for take no thread that another needs, and each waits for itself`() async throws {
        try await Self.with { resolver, holes in
            let (threads, share) = (Limits.resolverThreads, Limits.resolutionsOfTenantAtOnce)
            let kept = threads / Limits.slotReserveDivisor
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<threads / share {
                    let tenant = TenantID.generate()
                    // More than its share: they wait, and give up after their time without having begun.
                    for index in 0..<share * 3 {
                        group.addTask { #expect(await Self.code(resolver, "hole-\(number)-\(index).test", tenant) == .unresolved) }
                    }
                    let expected = min((number + 1) * share, threads - kept)
                    #expect(await eventually { holes.asked("hole") == expected }, "\(holes.asked("hole")) of \(expected)")
                    #expect(holes.asked("hole-\(number)-") <= share)
                }
                for number in 0..<8 {
                    #expect(await Self.code(resolver, "good-\(number).test", .generate()) == nil)
                }
                // The threads are still theirs when nobody waits any more; what had not begun never does.
                try await group.waitForAll()
                #expect(holes.asked("hole") == threads - kept)
                #expect(await Self.code(resolver, "good-at-last.test", .generate()) == nil)
            }
        }
    }

    @Test func `tenants that fill the queue do not keep out one with nothing in it`() {
        var turns = ResolverTurns<Int>(threads: 16)
        let hostile = (0..<5).map { _ in TenantID.generate() }
        var entered = 0
        for tenant in hostile {
            while turns.enter(entered, of: tenant) != nil { entered += 1 }
        }
        #expect(entered == Limits.maxWaitingResolutions + 1)
        let other = TenantID.generate()
        #expect(turns.enter(-1, of: other) != nil)
        #expect(turns.enter(-2, of: other) == nil)
        // It comes to the threads that are kept for such as it is.
        var begun: [Int] = []
        while let next = turns.next() { begun.append(next.lookUp) }
        #expect(begun.contains(-1))
    }

    @Test func `a tenant's look-ups that wait are bounded, and others' go on waiting beside them`() async throws {
        try await Self.with { resolver, holes in
            let tenant = TenantID.generate()
            let most = Limits.resolutionsOfTenantAtOnce + Limits.maxWaitingResolutionsOfTenant
            let codes = await withTaskGroup(of: EgressError.Code?.self) { group in
                for index in 0..<most + 10 { group.addTask { await Self.code(resolver, "hole-\(index).test", tenant) } }
                return await group.reduce(into: [EgressError.Code?: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(codes[.busy] ?? 0 >= 10 && (codes[.busy] ?? 0) + (codes[.unresolved] ?? 0) == most + 10, "\(codes)")
            #expect(await Self.code(resolver, "good.test", .generate()) == nil)
            holes.open()
            // What it has under way ends, and it is as before.
            #expect(await eventually { await Self.code(resolver, "late.test", tenant) == nil })
        }
    }
}
