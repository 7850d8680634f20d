import Domain
import Logging
import Storage

/// What happens at a time and not at a request: timers fire, and calls are posted to the systems of external tools.
struct Scheduler: Sendable {
    private let timers: DueLoop
    private let deliveries: DueLoop

    init(
        database: Database, notes: ScheduleNotes, timers: Timers, deliveries: Deliveries, logger: Logger
    ) {
        self.timers = DueLoop(.timer, atOnce: Limits.timersAtOnce, database: database, times: notes.timers, logger: logger) {
            await timers.fire($0)
        }
        self.deliveries = DueLoop(
            .delivery, atOnce: Limits.deliveriesAtOnce, database: database, times: notes.deliveries, logger: logger
        ) {
            await deliveries.attempt($0)
        }
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await timers.run() }
            group.addTask { await deliveries.run() }
        }
    }
}
