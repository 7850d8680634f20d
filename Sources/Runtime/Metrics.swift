import Synchronization

/// A number that only grows.
public final class MetricCounter: Sendable {
    private let value = Atomic<Int>(0)

    public func add(_ amount: Int = 1) { value.wrappingAdd(amount, ordering: .relaxed) }

    public var current: Int { value.load(ordering: .relaxed) }
}

/// What `GET /metrics` shows, in Prometheus' text format 0.0.4. Series are made at start, so their number is bounded by the code.
public final class MetricsRegistry: Sendable {
    private enum Source: Sendable {
        case counter(MetricCounter)
        case gauge(@Sendable () -> Double)
    }

    private struct Series: Sendable {
        let labels: [(String, String)]
        let source: Source
    }

    private struct Family: Sendable {
        let help: String
        let kind: String
        var series: [Series]
    }

    private let families = Mutex<[String: Family]>([:])

    public init() {}

    public func counter(_ name: String, help: String, labels: [(String, String)] = []) -> MetricCounter {
        let counter = MetricCounter()
        add(name, help: help, kind: "counter", Series(labels: labels, source: .counter(counter)))
        return counter
    }

    public func gauge(_ name: String, help: String, labels: [(String, String)] = [], _ read: @escaping @Sendable () -> Double) {
        add(name, help: help, kind: "gauge", Series(labels: labels, source: .gauge(read)))
    }

    private func add(_ name: String, help: String, kind: String, _ series: Series) {
        families.withLock { $0[name, default: Family(help: help, kind: kind, series: [])].series.append(series) }
    }

    public func render() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind)\n"
            for series in family.series {
                let labels = series.labels.map { "\($0.0)=\"\(Self.escape($0.1))\"" }.joined(separator: ",")
                let value: String
                switch series.source {
                case .counter(let counter): value = String(counter.current)
                case .gauge(let read):
                    let number = read()
                    value = number == number.rounded() && abs(number) < 1e15 ? String(Int(number)) : String(number)
                }
                text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
            }
        }
        return text
    }

    private static func escape(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
