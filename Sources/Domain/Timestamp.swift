#if canImport(Glibc)
    import Glibc
#endif

/// A moment in UTC with millisecond resolution; what the API shows as RFC 3339, e.g. `2026-11-22T09:30:00.125Z`.
public struct Timestamp: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let millisecondsSinceUnixEpoch: Int64

    public init(millisecondsSinceUnixEpoch: Int64) { self.millisecondsSinceUnixEpoch = millisecondsSinceUnixEpoch }

    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(millisecondsSinceUnixEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    public func adding(milliseconds: Int) -> Timestamp {
        Timestamp(millisecondsSinceUnixEpoch: millisecondsSinceUnixEpoch + Int64(milliseconds))
    }

    public func adding(seconds: Int) -> Timestamp {
        Timestamp(millisecondsSinceUnixEpoch: millisecondsSinceUnixEpoch + Int64(seconds) * 1000)
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.millisecondsSinceUnixEpoch < right.millisecondsSinceUnixEpoch
    }

    public var description: String {
        String(unsafeUninitializedCapacity: 24) { text in
            write(into: text)
            return 24
        }
    }

    /// Appends the 24 bytes of the RFC 3339 form.
    public func append(to bytes: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 24) { text in
            write(into: text)
            bytes.append(contentsOf: text)
        }
    }

    private func write(into text: UnsafeMutableBufferPointer<UInt8>) {
        let days = Int(floorDivide(millisecondsSinceUnixEpoch, 86_400_000))
        let inDay = Int(millisecondsSinceUnixEpoch - Int64(days) * 86_400_000)
        let (year, month, day) = Timestamp.civil(daysSinceUnixEpoch: days)
        func put(_ value: Int, at position: Int, width: Int) {
            var rest = value
            for offset in stride(from: width - 1, through: 0, by: -1) {
                text[position + offset] = UInt8(48 + rest % 10)
                rest /= 10
            }
        }
        put(year, at: 0, width: 4)
        put(month, at: 5, width: 2)
        put(day, at: 8, width: 2)
        put(inDay / 3_600_000, at: 11, width: 2)
        put(inDay / 60_000 % 60, at: 14, width: 2)
        put(inDay / 1000 % 60, at: 17, width: 2)
        put(inDay % 1000, at: 20, width: 3)
        text[4] = UInt8(ascii: "-")
        text[7] = UInt8(ascii: "-")
        text[10] = UInt8(ascii: "T")
        text[13] = UInt8(ascii: ":")
        text[16] = UInt8(ascii: ":")
        text[19] = UInt8(ascii: ".")
        text[23] = UInt8(ascii: "Z")
    }

    /// Parses `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)` (RFC 3339); fractions beyond milliseconds are cut.
    /// A leap second counts as the first second of the next minute.
    public init?(rfc3339 text: some StringProtocol) {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int? {
            var value = 0
            for byte in bytes[range] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int(byte - 48)
            }
            return value
        }
        guard bytes.count >= 20, bytes.count <= 40, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] == UInt8(ascii: "T") || bytes[10] == UInt8(ascii: "t"), bytes[13] == UInt8(ascii: ":"),
            bytes[16] == UInt8(ascii: ":"),
            let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var position = 19
        var milliseconds = 0
        if bytes[position] == UInt8(ascii: ".") {
            position += 1
            let start = position
            while position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 { position += 1 }
            guard position > start else { return nil }
            for offset in 0..<3 {
                milliseconds = milliseconds * 10 + (start + offset < position ? Int(bytes[start + offset] - 48) : 0)
            }
        }
        var offsetMinutes = 0
        guard position < bytes.count else { return nil }
        switch bytes[position] {
        case UInt8(ascii: "Z"), UInt8(ascii: "z"):
            guard position + 1 == bytes.count else { return nil }
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            guard position + 6 == bytes.count, bytes[position + 3] == UInt8(ascii: ":"),
                let hours = number(position + 1..<position + 3), let minutes = number(position + 4..<position + 6), hours < 24,
                minutes < 60
            else { return nil }
            offsetMinutes = (bytes[position] == UInt8(ascii: "-") ? -1 : 1) * (hours * 60 + minutes)
        default: return nil
        }
        let days = Timestamp.days(year: year, month: month, day: day)
        guard Timestamp.civil(daysSinceUnixEpoch: days) == (year, month, day) else { return nil }
        let seconds = Int64(days) * 86_400 + Int64(hour * 3600 + minute * 60 + second - offsetMinutes * 60)
        // An offset or a leap second can lead out of the years that four digits can write.
        guard (Timestamp.firstSecond...Timestamp.lastSecond).contains(seconds) else { return nil }
        self.init(millisecondsSinceUnixEpoch: seconds * 1000 + Int64(milliseconds))
    }

    /// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
    private static let firstSecond: Int64 = -62_167_219_200
    private static let lastSecond: Int64 = 253_402_300_799

    /// Proleptic Gregorian calendar; the algorithms are Howard Hinnant's `civil_from_days` and `days_from_civil`.
    static func civil(daysSinceUnixEpoch: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = daysSinceUnixEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthIndex + 2) / 5 + 1)
    }

    static func days(year: Int, month: Int, day: Int) -> Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}

private func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
}
