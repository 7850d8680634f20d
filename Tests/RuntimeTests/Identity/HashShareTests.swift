import Argon2
import Cryptography
import Domain
import Storage
import TestSupport
import Testing

@testable import Runtime

/// Those who issue keys beside those who want in.
@Suite(.timeLimit(.minutes(5)))
struct HashShareTests {
    @Test func `a share is given as often as it is large, and again when one is given back`() {
        let share = HashShare(2)
        #expect(share.enter() && share.enter() && !share.enter())
        share.leave()
        #expect(share.enter() && !share.enter())
    }

    @Test func `however many keys are issued at once, unknown keys find room in the queue`() async throws {
        let environment = try await TestEnvironment.start()
        let hasher = PasswordHasher(threads: 1, maxQueued: 6, parameters: Argon2Parameters(memoryKiB: 64, iterations: 1))
        let (database, logger, metrics) = (environment.database, environment.logger, MetricsRegistry())
        let authenticator = Authenticator(database: database, hasher: hasher, metrics: metrics, logger: logger)
        let watch = AccessWatch(
            database: database, cache: authenticator.cache, subscriber: environment.subscriber, wakeups: Wakeups(environment.redis),
            interval: .seconds(3600), metrics: metrics, logger: logger, apply: { _ in }, tick: {})
        let keys = KeyService(database: database, hasher: hasher, watch: watch, share: HashShare(4))
        let scope = try await environment.makeTenant()
        let issuer = try await authenticator.authenticate(bearer: environment.makeKey(scope))
        let cold = try await environment.makeKey(scope)
        let request = KeyRequest(name: "new", scopes: [.runsRead], expiresAt: nil)
        let gate = await HashGate(closing: hasher)
        let statuses = await withTaskGroup(of: Int.self, returning: [Int].self) { group in
            for _ in 0..<50 {
                group.addTask {
                    do {
                        _ = try await keys.prepare(request, issuer: issuer)
                        return 201
                    } catch { return (error as? GatewayError)?.status ?? 0 }
                }
            }
            var statuses: [Int] = []
            for await status in group {
                statuses.append(status)
                guard statuses.count == 46 else { continue }
                // Four wait for the thread, and there is room for two more.
                #expect(hasher.queuedCount <= 4)
                group.addTask {
                    do {
                        _ = try await authenticator.authenticate(bearer: cold)
                        return 200
                    } catch { return (error as? GatewayError)?.status ?? 0 }
                }
                gate.open()
            }
            return statuses
        }
        #expect(statuses.prefix(46).allSatisfy { $0 == 503 })
        #expect(statuses.suffix(5).sorted() == [200, 201, 201, 201, 201])
    }
}
