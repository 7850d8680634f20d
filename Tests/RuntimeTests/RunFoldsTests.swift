import Domain
import JSON
import Testing

@testable import Runtime

struct RunFoldsTests {
    private func scope() -> TenantScope { TenantScope(tenantID: .generate(), slug: "t") }

    private func state(_ types: [RunEventType], bytes: Int = 0) throws -> RunState {
        var state = RunState()
        for (index, type) in types.enumerated() {
            let data = NewRunEvent(type) { $0.field("filler", string: String(repeating: "x", count: bytes)) }.data
            try state.apply(RunEvent(seq: Int64(index) + 1, type: type, time: .now(), claimNumber: 1, data: data))
        }
        return state
    }

    @Test func `a fold is found again by its own tenant only`() throws {
        let folds = RunFolds()
        let (mine, other, run) = (scope(), scope(), RunID.generate())
        #expect(folds.latest(mine, run) == RunState())
        let kept = try state([.runCreated, .runStarted])
        folds.keep(kept, mine, run)
        #expect(folds.latest(mine, run) == kept)
        #expect(folds.latest(other, run) == RunState())
        folds.forget(other, run)
        #expect(folds.latest(mine, run) == kept)
        folds.forget(mine, run)
        #expect(folds.latest(mine, run) == RunState())
    }

    @Test func `a shorter fold does not take a longer one's place, and an ended run is let go`() throws {
        let folds = RunFolds()
        let (scope, run) = (scope(), RunID.generate())
        let long = try state([.runCreated, .runStarted, .stepStarted])
        folds.keep(long, scope, run)
        folds.keep(try state([.runCreated]), scope, run)
        #expect(folds.latest(scope, run) == long)
        folds.keep(try state([.runCreated, .runStarted, .stepStarted, .runFailed]), scope, run)
        #expect(folds.latest(scope, run) == RunState())
    }

    @Test func `number and bytes are bounded, and what was used last stays`() throws {
        let folds = RunFolds()
        let scope = scope()
        let favourite = RunID.generate()
        let small = try state([.runCreated])
        folds.keep(small, scope, favourite)
        for _ in 0..<Limits.maxKeptFolds * 2 {
            folds.keep(small, scope, .generate())
            #expect(folds.latest(scope, favourite) == small)
        }
        let large = try state([.runCreated], bytes: Limits.maxKeptFoldBytes / 16 - 100)
        let runs = (0..<40).map { _ in RunID.generate() }
        for run in runs { folds.keep(large, scope, run) }
        #expect(runs.filter { folds.latest(scope, $0).lastSeq > 0 }.count <= 16)
        #expect(folds.latest(scope, runs[39]) == large)
        let tooLarge = RunID.generate()
        folds.keep(try state([.runCreated], bytes: Limits.maxKeptFoldBytes / 8), scope, tooLarge)
        #expect(folds.latest(scope, tooLarge) == RunState())
    }
}
