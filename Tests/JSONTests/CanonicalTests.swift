import JSON
import Testing

/// RFC 8785.
struct CanonicalTests {
    private func canonical(_ text: String) throws -> String {
        String(decoding: try parse(text).canonical(), as: UTF8.self)
    }

    @Test func `the example of section 3.2.2 comes out as the RFC prints it`() throws {
        let text = #"""
            {
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }
            """#
        #expect(
            try canonical(text)
                == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#)
    }

    @Test func `members are sorted by the UTF-16 units of their keys`() throws {
        let text =
            #"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew","1":"One","\ud83d\ude00":"Emoji","\u0080":"Control","\u00f6":"o"}"#
        let root = try JSONDocument(parsing: try parse(text).canonical()).root
        #expect(root.members.compactMap(\.value.string) == ["Carriage Return", "One", "Control", "o", "Euro Sign", "Emoji", "Hebrew"])
        #expect(
            try canonical(#"{"aa":1,"c":2,"":3,"B":4,"a":{"z":1,"y":2}}"#)
                == #"{"":3,"B":4,"a":{"y":2,"z":1},"aa":1,"c":2}"#)
    }

    /// Appendix B and ECMAScript's own borders.
    @Test(
        arguments: [
            (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
            (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
            (0xC340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
            (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
            (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
            (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
            (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5554, "333333333.33333325"),
            (0x41B3_DE43_5555_5555, "333333333.3333333"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
            (0x41B3_DE43_5555_5557, "333333333.33333343"), (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
            (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
        ] as [(UInt64, String)])
    func `a number is written as ECMAScript writes it`(bits: UInt64, text: String) throws {
        var writer = JSONWriter()
        writer.double(Double(bitPattern: bits))
        #expect(String(decoding: writer.bytes, as: UTF8.self) == text)
        #expect(try canonical(text) == text)
    }

    @Test(arguments: [
        ("1e21", "1e+21"), ("1e-7", "1e-7"), ("-0", "0"), ("-0.0", "0"), ("4.50", "4.5"), ("1E2", "100"), ("123e-6", "0.000123"),
        ("0.1e1", "1"), ("9007199254740993", "9007199254740992"), ("1e20", "100000000000000000000"), ("1.5e300", "1.5e+300"),
    ])
    func `a number has one canonical form`(text: String, form: String) throws {
        #expect(try canonical(text) == form)
    }

    @Test func `random doubles survive writing and reading`() throws {
        var random = SplitMix64(state: 99)
        for _ in 0..<20_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            var writer = JSONWriter()
            writer.double(value)
            #expect(try JSONDocument(parsing: writer.bytes).root.double == value)
        }
    }

    @Test func `what has no canonical form is refused where it stands`() throws {
        #expect(throws: JSONError(.numberOutOfRange, at: 4)) { try canonical("[1, 1e400]") }
        #expect(throws: JSONError(.nullCharacter, at: 5)) { try canonical(#"{"a":"\u0000"}"#) }
        #expect(throws: JSONError(.nullCharacter, at: 1)) { try canonical(#"{"\u0000":1}"#) }
    }
}
