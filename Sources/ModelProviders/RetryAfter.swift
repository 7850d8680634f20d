/// How long a vendor, or whoever else is asked over HTTP, asks to wait (`retry-after-ms`, and `retry-after` of RFC 9110, 10.2.3).
package enum RetryAfter {
    static let maxMilliseconds = 86_400_000.0

    /// Milliseconds, nil when neither header says something usable. `retry-after-ms` wins, for it is the finer one.
    package static func milliseconds(retryAfterMs: String?, retryAfter: String?, nowUnixSeconds: Int64) -> Int? {
        if let value = retryAfterMs.flatMap(Double.init), let milliseconds = bounded(value) { return milliseconds }
        guard let retryAfter else { return nil }
        if let seconds = Double(retryAfter) { return bounded(seconds * 1_000) }
        return httpDate(retryAfter).flatMap { bounded(Double(max($0 - nowUnixSeconds, 0)) * 1_000) }
    }

    private static func bounded(_ milliseconds: Double) -> Int? {
        guard milliseconds.isFinite, milliseconds >= 0 else { return nil }
        return Int(min(milliseconds, maxMilliseconds).rounded(.up))
    }

    /// Unix seconds of an IMF-fixdate such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func httpDate(_ text: String) -> Int64? {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = text.split(separator: " ")
        guard
            parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]), (1970...9999).contains(year)
        else { return nil }
        let clock = parts[4].split(separator: ":").compactMap { Int64($0) }
        guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]), (0...60).contains(clock[2]) else { return nil }
        // Days from the civil date: years begin in March, so that the leap day is the last of its year.
        let shiftedYear = month < 2 ? year - 1 : year
        let dayOfYear = (153 * Int64((month + 10) % 12) + 2) / 5 + day - 1
        let days = 365 * shiftedYear + shiftedYear / 4 - shiftedYear / 100 + shiftedYear / 400 + dayOfYear - 719_468
        return days * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2]
    }
}
