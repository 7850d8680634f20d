import FoundationEssentials
import Postgres
import Testing

extension PostgresTests {
    @Suite struct CodecTests {
        @Test("numbers and booleans come back as they went")
        func numbers() async throws {
            try await withClient { client async throws in
                for value in [Int.min, -1, 0, 1, Int.max] {
                    #expect(try await client.value("SELECT \(value)", as: Int.self) == value)
                    #expect(try await client.value("SELECT \(Int64(value))", as: Int64.self) == Int64(value))
                }
                #expect(try await client.value("SELECT \(Int16.min)", as: Int16.self) == .min)
                #expect(try await client.value("SELECT \(Int32.min)", as: Int32.self) == .min)
                #expect(try await client.value("SELECT \(Int32.max)", as: Int.self) == Int(Int32.max))
                #expect(try await client.value("SELECT \(Int16.max)", as: Int32.self) == Int32(Int16.max))
                #expect(try await client.value("SELECT \(true)", as: Bool.self))
                #expect(try await client.value("SELECT NOT \(true)", as: Bool.self) == false)
            }
        }

        @Test("special floating point values come back as they went")
        func floats() async throws {
            try await withClient { client async throws in
                let values: [Double] = [
                    0, 1.5, -1.25, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0.1, 1e308,
                ]
                for value in values { #expect(try await client.value("SELECT \(value)", as: Double.self) == value) }
                #expect(try await client.value("SELECT \(Double.nan)", as: Double.self).isNaN)
                #expect(try await client.value("SELECT \(-0.0)", as: Double.self).sign == .minus)
                #expect(try await client.value("SELECT 0.5::float4", as: Double.self) == 0.5)
            }
        }

        @Test("text keeps every Unicode scalar but U+0000, which is refused before sending")
        func text() async throws {
            try await withClient { client async throws in
                for value in ["", "a", "naïve", "e\u{301}", "👩‍👩‍👧‍👦 שלום 漢字", "\u{FFFF}\u{10FFFF}", "'; DROP TABLE x; --", "$1"] {
                    let back = try await client.value("SELECT \(value)", as: String.self)
                    #expect(Array(back.utf8) == Array(value.utf8))
                }
                #expect(try await client.value("SELECT 'v'::varchar(3)", as: String.self) == "v")
                #expect(try await client.value("SELECT 'n'::name", as: String.self) == "n")
                #expect(try await client.value("SELECT '{\"a\": 1}'::jsonb", as: String.self) == #"{"a": 1}"#)
                for sql: SQL in ["SELECT \("a\u{0}b")", "SELECT \(["x", "a\u{0}"])", "SELECT \(PostgresJSON([0x22, 0, 0x22]))"] {
                    let error = try await failure { try await client.query(sql) }
                    #expect(error.code == .decoding)
                    #expect(error.message.hasPrefix("text parameters cannot hold U+0000; "))
                    #expect(!error.mayHaveRun)
                }
                #expect(client.statistics().segments == 11)
            }
        }

        @Test("enums are text")
        func enums() async throws {
            let name = TestDatabase.uniqueName("mood")
            try await withClient { client async throws in
                _ = try await client.query("CREATE TYPE \(unsafeSQL: name) AS ENUM ('glad', 'sad')")
                #expect(try await client.value("SELECT \("sad")::\(unsafeSQL: name)", as: String.self) == "sad")
                _ = try await client.query("DROP TYPE \(unsafeSQL: name)")
            }
        }

        @Test("uuid, bytea, json, jsonb and timestamptz come back as they went")
        func others() async throws {
            try await withClient { client async throws in
                let id = UUID()
                #expect(try await client.value("SELECT \(id)", as: UUID.self) == id)
                #expect(try await client.value("SELECT \(id)::text", as: String.self) == id.uuidString.lowercased())
                let bytes = PostgresBytea(Array(0...255))
                #expect(try await client.value("SELECT \(bytes)", as: PostgresBytea.self) == bytes)
                #expect(try await client.value("SELECT \(PostgresBytea([]))", as: PostgresBytea.self).bytes.isEmpty)
                let json = PostgresJSON(Array(#"{ "b":1,  "a":[1.0,"é"] }"#.utf8))
                #expect(try await client.value("SELECT \(json)", as: PostgresJSON.self) == json)
                let jsonb = PostgresJSONB(Array(#"{"a": [1, null]}"#.utf8))
                #expect(try await client.value("SELECT \(jsonb)", as: PostgresJSONB.self) == jsonb)
                for microseconds: Int64 in [0, 1, -1, 1_700_000_000_123_456, 946_684_800_000_000, .max, .min] {
                    let time = PostgresTimestamp(microsecondsSinceUnixEpoch: microseconds)
                    #expect(try await client.value("SELECT \(time)", as: PostgresTimestamp.self) == time)
                }
                let epoch = try await client.value("SELECT '1970-01-01T00:00:01Z'::timestamptz", as: PostgresTimestamp.self)
                #expect(epoch.microsecondsSinceUnixEpoch == 1_000_000)
                let infinity = try await client.value("SELECT 'infinity'::timestamptz", as: PostgresTimestamp.self)
                #expect(infinity.microsecondsSinceUnixEpoch == .max)
            }
        }

        @Test("NULL is nil for an Optional and an error for anything else")
        func nulls() async throws {
            try await withClient { client async throws in
                #expect(try await client.value("SELECT \(String?.none)", as: String?.self) == nil)
                #expect(try await client.value("SELECT \(Int?.some(4))", as: Int?.self) == 4)
                #expect(try await client.value("SELECT \([Int]?.none)", as: [Int]?.self) == nil)
                let rows = try await client.query("SELECT NULL::int AS missing")
                #expect(throws: PostgresError.self) { try rows[0].decode(0, as: Int.self) }
                #expect(throws: PostgresError.self) { try rows[0].decode(1, as: Int.self) }
            }
        }

        @Test("arrays may be empty, hold NULL for optional elements, and have one dimension")
        func arrays() async throws {
            try await withClient { client async throws in
                #expect(try await client.value("SELECT \([Int]())", as: [Int].self) == [])
                #expect(try await client.value("SELECT \([1, 2, 3])", as: [Int].self) == [1, 2, 3])
                #expect(try await client.value("SELECT \(["", "a", "ü,\"{}"])", as: [String].self) == ["", "a", "ü,\"{}"])
                let optional: [String?] = [nil, "x", nil]
                #expect(try await client.value("SELECT \(optional)", as: [String?].self) == optional)
                let ids = [UUID(), UUID()]
                #expect(try await client.value("SELECT \(ids)", as: [UUID].self) == ids)
                let truths = [true, false, true]
                #expect(try await client.value("SELECT \(truths)", as: [Bool].self) == truths)
                #expect(try await client.value("SELECT \(truths)::text", as: String.self) == "{t,f,t}")
                let times = [0, -1, 1_700_000_000_123_456, .max].map { PostgresTimestamp(microsecondsSinceUnixEpoch: $0) }
                #expect(try await client.value("SELECT \(times)", as: [PostgresTimestamp].self) == times)
                let json = [PostgresJSON(Array("1".utf8)), PostgresJSON(Array("[]".utf8))]
                #expect(try await client.value("SELECT \(json)", as: [PostgresJSON].self) == json)
                #expect(try await client.value("SELECT count(*) FROM unnest(\([1, 2]), \([nil, "b"] as [String?]))", as: Int.self) == 2)
                #expect(try await client.value("SELECT 2 = ANY(\([1, 2]))", as: Bool.self))
                let rows = try await client.query("SELECT ARRAY[[1,2],[3,4]], ARRAY[1,NULL]")
                #expect(throws: PostgresError.self) { try rows[0].decode(0, as: [Int].self) }
                #expect(throws: PostgresError.self) { try rows[0].decode(1, as: [Int].self) }
            }
        }

        @Test("a column of another type is an error that names the column")
        func mismatch() async throws {
            try await withClient { client async throws in
                let rows = try await client.query("SELECT 'x'::text AS label, 5::int8 AS number")
                let error = try await failure { try rows[0].decode(0, as: Int.self) }
                #expect(error.code == .decoding && error.message.contains("label"))
                #expect(throws: PostgresError.self) { try rows[0].decode(1, as: Int16.self) }
                #expect(rows.columns == ["label", "number"] && rows.affected == 1)
            }
        }
    }
}
