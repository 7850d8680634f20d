import Domain
import Testing

struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00.000Z", 0), ("1969-12-31T23:59:59.999Z", -1), ("2000-02-29T12:00:00.000Z", 951_825_600_000),
            ("2026-11-22T09:30:00.125Z", 1_795_339_800_125), ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("1900-03-01T00:00:00.000Z", -2_203_891_200_000), ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("0000-01-01T00:00:00.000Z", -62_167_219_200_000),
        ] as [(String, Int64)])
    func `a moment and its text are one another's`(text: String, milliseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.millisecondsSinceUnixEpoch == milliseconds)
        #expect(Timestamp(millisecondsSinceUnixEpoch: milliseconds).description == text)
    }

    @Test func `every day of four centuries comes back, and so do random milliseconds`() throws {
        var generator = SeededGenerator(seed: 1)
        for day in stride(from: Int64(-25_567), to: 120_530, by: 1) {
            let moment = Timestamp(millisecondsSinceUnixEpoch: day * 86_400_000 + Int64.random(in: 0..<86_400_000, using: &generator))
            guard Timestamp(rfc3339: moment.description) != moment else { continue }
            Issue.record("\(moment.millisecondsSinceUnixEpoch) became \(moment)")
            return
        }
    }

    @Test(arguments: [
        ("2026-11-22T10:30:00+01:00", "2026-11-22T09:30:00.000Z"), ("2026-11-22T00:15:00.5-23:59", "2026-11-23T00:14:00.500Z"),
        ("2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00.000Z"), ("2023-03-01T00:30:00+01:00", "2023-02-28T23:30:00.000Z"),
        ("2026-01-01T00:00:00+00:01", "2025-12-31T23:59:00.000Z"), ("2026-11-22t09:30:00z", "2026-11-22T09:30:00.000Z"),
        ("2026-11-22T09:30:00.1Z", "2026-11-22T09:30:00.100Z"), ("2026-11-22T09:30:00.123999999Z", "2026-11-22T09:30:00.123Z"),
        ("2026-11-22T09:30:00-00:00", "2026-11-22T09:30:00.000Z"), ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ])
    func `offsets, fractions and leap seconds are taken in`(text: String, utc: String) {
        #expect(Timestamp(rfc3339: text)?.description == utc)
    }

    @Test(arguments: [
        "", "2026-11-22", "2026-11-22T09:30:00", "2026-11-22 09:30:00Z", "2026-11-22T09:30Z", "2026-1-22T09:30:00Z", "26-11-22T09:30:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-00T00:00:00Z", "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T09:60:00Z", "2026-11-22T09:30:61Z",
        "2026-11-22T09:30:00.Z", "2026-11-22T09:30:00,5Z", "2026-11-22T09:30:00+0100", "2026-11-22T09:30:00+1:00",
        "2026-11-22T09:30:00+24:00", "2026-11-22T09:30:00+01:60", "2026-11-22T09:30:00Z ", " 2026-11-22T09:30:00Z",
        "2026-11-22T09:30:00ZZ", "2026-11-22T09:30:00+01:00Z", "-026-11-22T09:30:00Z", "2026-11-22T09:30:00.1234567890123456789012345Z",
        "２026-11-22T09:30:00Z", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z",
    ])
    func `what RFC 3339 does not know, or four digits cannot write, is no moment`(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func `random bytes never trap and what is read is written back as the same moment`() {
        var generator = SeededGenerator(seed: 2)
        let alphabet = Array("0123456789-:.TZtz+ é")
        for _ in 0..<20_000 {
            var text = Array("2026-11-22T09:30:00.125Z")
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                text[Int.random(in: 0..<text.count, using: &generator)] = alphabet.randomElement(using: &generator) ?? "0"
            }
            guard let moment = Timestamp(rfc3339: String(text)) else { continue }
            #expect(Timestamp(rfc3339: moment.description) == moment)
        }
    }

    @Test func `seconds are added and moments are ordered`() {
        let moment = Timestamp(millisecondsSinceUnixEpoch: 1500)
        #expect(moment.adding(seconds: 2).millisecondsSinceUnixEpoch == 3500)
        #expect(moment < moment.adding(seconds: 1))
        #expect(moment > moment.adding(seconds: -1))
    }
}
