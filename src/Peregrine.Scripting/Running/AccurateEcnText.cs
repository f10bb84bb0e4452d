// The counters of RFC 9768 §3.2.3 as scripts write them: "ECN e0b 1 ceb 0 e1b 1", or with e1b first. The first name says which kind of option it
// is; those at the end may be left out.
using System.Globalization;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal static class AccurateEcnText
{
    private static readonly string[] s_order0 = ["e0b", "ceb", "e1b"], s_order1 = ["e1b", "ceb", "e0b"];

    internal static List<byte> Encode(string[] words)
    {
        var order = words.Length > 1 && words[1] == "e1b" ? s_order1 : s_order0;
        List<byte> bytes = [order == s_order1 ? TcpOptionKind.AccurateEcn1 : TcpOptionKind.AccurateEcn0, 0];
        for (var i = 1; i < words.Length; i += 2)
        {
            if (i / 2 >= order.Length || words[i] != order[i / 2] || i + 1 == words.Length || !uint.TryParse(words[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var count))
                throw new NotApplicableException($"the TCP option '{string.Join(' ', words)}' is not understood");
            bytes.AddRange([(byte)(count >> 16), (byte)(count >> 8), (byte)count]);
        }
        bytes[1] = (byte)bytes.Count;
        return bytes;
    }

    internal static string Decode(byte kind, ReadOnlySpan<byte> value)
    {
        var text = "ECN";
        foreach (var name in kind == TcpOptionKind.AccurateEcn1 ? s_order1 : s_order0)
        {
            if (value.Length < 3) break;
            text += $" {name} {(value[0] << 16) | (value[1] << 8) | value[2]}";
            value = value[3..];
        }
        return text;
    }
}
