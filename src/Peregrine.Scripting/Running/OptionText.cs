// TCP options as scripts write them, to bytes and back: one text an option, in the order of the wire, so that order and padding are compared
// too.
using System.Buffers.Binary;
using System.Globalization;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

/// <summary>How numbers in options are moved between the script's and the wire's.</summary>
internal readonly record struct OptionShift(uint Sack, Func<uint, uint> TsVal, Func<uint, uint> TsEcr);

internal static class OptionText
{
    private static readonly string[] s_multipath =
        ["mp_capable", "mp_capable_no_cs", "mp_join_syn", "mp_join_syn_ack", "mp_join_ack", "dss", "add_address", "remove_address", "mp_fail", "mp_fastclose", "mp_prio"];

    /// <summary>The bytes of options, padded to a whole word with ends of list.</summary>
    internal static byte[] Encode(IReadOnlyList<string> options, OptionShift shift)
    {
        var bytes = new List<byte>();
        foreach (var option in options) Encode(bytes, option, shift);
        while (bytes.Count % 4 != 0) bytes.Add(0);
        if (bytes.Count > TcpOptions.LengthMax) throw new ScriptFailedException("the options of a segment are longer than 40 bytes");
        return [.. bytes];
    }

    private static void Encode(List<byte> bytes, string option, OptionShift shift)
    {
        var words = option.Split(' ');
        switch (words[0])
        {
            case "nop":
                bytes.Add(1);
                break;
            case "eol":
                bytes.Add(0);
                break;
            case "mss" when words.Length == 2:
                bytes.AddRange([2, 4]);
                Add16(bytes, Number(words[1]));
                break;
            case "wscale" when words.Length == 2:
                bytes.AddRange([3, 3, (byte)Number(words[1])]);
                break;
            case "sackOK":
                bytes.AddRange([4, 2]);
                break;
            case "sack":
                bytes.AddRange([5, (byte)(2 + 8 * (words.Length - 1))]);
                foreach (var block in words[1..])
                {
                    var ends = block.Split(':');
                    if (ends.Length != 2) throw new NotApplicableException($"the TCP option '{option}' is not understood");
                    Add32(bytes, Number(ends[0]) + shift.Sack);
                    Add32(bytes, Number(ends[1]) + shift.Sack);
                }
                break;
            case "TS" when words is [_, "val", _, "ecr", _]:
                bytes.AddRange([8, 10]);
                Add32(bytes, shift.TsVal(Number(words[2])));
                Add32(bytes, shift.TsEcr(Number(words[4])));
                break;
            case "FO":
                AddHex(bytes, [TcpOptionKind.FastOpen], words);
                break;
            case "FOEXP" or "EXP-FO" or "exp-FO" or "exp-fastopen":
                AddHex(bytes, [TcpOptionKind.Experimental, 0xF9, 0x89], words);
                break;
            case "md5" when option == Signatures.Valid:
                bytes.AddRange([TcpOptionKind.Md5, 18, .. new byte[16]]);
                break;
            case "md5":
                AddHex(bytes, [TcpOptionKind.Md5], words);
                break;
            // RFC 5925 §2.2: two key numbers and the code.
            case "tcp-ao" or "ao" or "AO":
                AddHex(bytes, [TcpOptionKind.Authentication], words);
                break;
            case "ECN":
                bytes.AddRange(AccurateEcnText.Encode(words));
                break;
            case ['0', 'x' or 'X', .. var blob]:
                AddHex(bytes, blob, option);
                break;
            // FreeBSD's dialect for any other: its kind, or an experiment's number, and its bytes.
            case ['g', 'e', 'n', '-', .. var kind] when byte.TryParse(kind, NumberStyles.None, CultureInfo.InvariantCulture, out var number):
                AddHex(bytes, [number], words);
                break;
            case ['e', 'x', 'p', '-', .. var experiment] when ushort.TryParse(experiment, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var number):
                AddHex(bytes, [TcpOptionKind.Experimental, (byte)(number >> 8), (byte)number], words);
                break;
            default:
                throw new NotApplicableException(s_multipath.Contains(words[0]) ? "MPTCP is not implemented" : $"the TCP option '{option}' is not understood");
        }
    }

    private static void AddHex(List<byte> bytes, string hex, string option)
    {
        try
        {
            bytes.AddRange(Convert.FromHexString(hex));
        }
        catch (FormatException)
        {
            throw new NotApplicableException($"the TCP options '{option}' are not understood");
        }
    }

    // Kind, and for an experiment its number, with the length between.
    private static void AddHex(List<byte> bytes, ReadOnlySpan<byte> kind, string[] words)
    {
        try
        {
            var value = words.Length > 1 ? Convert.FromHexString(words[1]) : [];
            bytes.AddRange([kind[0], (byte)(1 + kind.Length + value.Length), .. kind[1..]]);
            bytes.AddRange(value);
        }
        catch (FormatException)
        {
            throw new NotApplicableException($"the TCP option '{string.Join(' ', words)}' is not understood");
        }
    }

    private static uint Number(string word) =>
        uint.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : throw new NotApplicableException($"'{word}' in a TCP option is no number");

    private static void Add16(List<byte> bytes, uint value) => bytes.AddRange([(byte)(value >> 8), (byte)value]);

    private static void Add32(List<byte> bytes, uint value) => bytes.AddRange([(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value]);

    /// <summary>The options of a segment, one text each.</summary>
    internal static List<string> Decode(ReadOnlySpan<byte> bytes, OptionShift shift)
    {
        var options = new List<string>();
        while (bytes.Length > 0)
        {
            var kind = bytes[0];
            if (kind is 0 or 1)
            {
                options.Add(kind == 0 ? "eol" : "nop");
                bytes = bytes[1..];
                continue;
            }
            if (bytes.Length < 2 || bytes[1] < 2 || bytes[1] > bytes.Length)
            {
                options.Add("broken");
                return options;
            }
            options.Add(Decode(kind, bytes[2..bytes[1]], shift));
            bytes = bytes[bytes[1]..];
        }
        return options;
    }

    private static string Decode(byte kind, ReadOnlySpan<byte> value, OptionShift shift) => kind switch
    {
        2 when value.Length == 2 => $"mss {BinaryPrimitives.ReadUInt16BigEndian(value)}",
        3 when value.Length == 1 => $"wscale {value[0]}",
        4 => "sackOK",
        5 => "sack " + Blocks(value, shift),
        8 when value.Length == 8 => $"TS val {shift.TsVal(BinaryPrimitives.ReadUInt32BigEndian(value))} ecr {shift.TsEcr(BinaryPrimitives.ReadUInt32BigEndian(value[4..]))}",
        TcpOptionKind.FastOpen => value.Length == 0 ? "FO" : "FO " + Convert.ToHexStringLower(value),
        TcpOptionKind.Experimental when value is [0xF9, 0x89, ..] => value.Length == 2 ? "FOEXP" : "FOEXP " + Convert.ToHexStringLower(value[2..]),
        TcpOptionKind.Md5 => "md5 " + Convert.ToHexStringLower(value),
        TcpOptionKind.AccurateEcn0 or TcpOptionKind.AccurateEcn1 => AccurateEcnText.Decode(kind, value),
        _ => $"gen-{kind} {Convert.ToHexStringLower(value)}",
    };

    private static string Blocks(ReadOnlySpan<byte> value, OptionShift shift)
    {
        var blocks = new List<string>();
        for (; value.Length >= 8; value = value[8..])
            blocks.Add($"{BinaryPrimitives.ReadUInt32BigEndian(value) - shift.Sack}:{BinaryPrimitives.ReadUInt32BigEndian(value[4..]) - shift.Sack}");
        return string.Join(' ', blocks);
    }
}
