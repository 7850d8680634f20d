import Domain
import Postgres
import Storage
import TestSupport
import Testing

@testable import Runtime

/// What a process knows of tenants' limits while they change under it.
@Suite(.timeLimit(.minutes(3)))
struct LimitBookTests {
    /// Limits as Postgres would have them, whose readers can be held behind what they have read.
    private actor Shelf {
        private var runsPerMinute = 10
        private var isHeld = false
        private var isAway = false
        private var waiting: [CheckedContinuation<Void, Never>] = []
        private(set) var looks = 0

        func put(_ value: Int) { runsPerMinute = value }
        func hold() { isHeld = true }
        func goAway() { isAway = true }
        var held: Int { waiting.count }

        func release() {
            isHeld = false
            for one in waiting { one.resume() }
            waiting = []
        }

        func read() async -> Result<TenantLimitOverrides?, PostgresError> {
            looks += 1
            let found = TenantLimitOverrides([.runsPerMinute: runsPerMinute])
            if isHeld { await withCheckedContinuation { waiting.append($0) } }
            return isAway ? .failure(PostgresError(.connection, "away")) : .success(found)
        }
    }

    private func book(_ shelf: Shelf, maxAge: Duration = .seconds(3600)) async throws -> LimitBook {
        LimitBook(
            defaults: TenantLimits(), maxAge: maxAge,
            source: { _ throws(PostgresError) in try await shelf.read().get() }, logger: try await TestEnvironment.start().logger)
    }

    private func runs(_ book: LimitBook, _ scope: TenantScope) async throws -> Int { try await book.rates(scope).limits.runsPerMinute }

    private let scope = TenantScope(tenantID: .generate(), slug: "acme")

    @Test func `a look that a change has overtaken is not kept, whether it was the first or a later one`() async throws {
        for isFirst in [true, false] {
            let shelf = Shelf()
            let book = try await book(shelf, maxAge: isFirst ? .seconds(3600) : .zero)
            if !isFirst { #expect(try await runs(book, scope) == 10) }
            await shelf.hold()
            async let overtaken = runs(book, scope)
            #expect(await eventually { await shelf.held == 1 })
            // The change is committed and announced between the look's reading and its end.
            await shelf.put(20)
            book.forget(scope.tenantID)
            await shelf.release()
            #expect(try await overtaken == 10)
            #expect(try await runs(book, scope) == 20)
            #expect(await shelf.looks == (isFirst ? 2 : 3))
        }
    }

    @Test func `what was announced for all, or after a reconnection, overtakes a look as well`() async throws {
        let shelf = Shelf()
        let book = try await book(shelf)
        await shelf.hold()
        async let overtaken = runs(book, scope)
        #expect(await eventually { await shelf.held == 1 })
        await shelf.put(20)
        book.forgetAll()
        // One that began behind the change is kept, also where the older one ends last.
        await shelf.release()
        #expect(try await runs(book, scope) == 20)
        #expect(try await overtaken == 10)
        await shelf.put(30)
        #expect(try await runs(book, scope) == 20)
    }

    @Test func `limits that cannot be read again stand, unless a change was announced`() async throws {
        let shelf = Shelf()
        let book = try await book(shelf, maxAge: .zero)
        #expect(try await runs(book, scope) == 10)
        await shelf.goAway()
        #expect(try await runs(book, scope) == 10)
        book.forget(scope.tenantID)
        await #expect(throws: PostgresError.self) { try await runs(book, scope) }
    }
}
