// TCP's part of a printed line. Options are walked here and not taken from TcpOptions, because a printer shows them as they stand:
// in their order, NOPs and unknown ones included.
using System.Buffers.Binary;

namespace Peregrine.Wire;

internal static class TcpPrinter
{
    public static void Append(ref TextSpan text, UpperLayer upper, FramePrinterOptions options)
    {
        if (!TcpPacket.TryParse(upper.Payload, out TcpPacket packet))
        {
            IpPrinter.AppendShort(ref text, upper, ": [|tcp]");
            return;
        }

        IpPrinter.AppendPortPair(ref text, upper, packet.SourcePort, packet.DestinationPort);
        text.Append("Flags [");
        AppendFlags(ref text, packet.Flags);
        text.Append(']');
        AppendNumbers(ref text, packet);
        if (!packet.Options.IsEmpty) AppendOptions(ref text, packet.Options);
        text.Append(", length ");
        text.Append(packet.Payload.Length);
        bool check = (options & FramePrinterOptions.Checksums) != 0 && !upper.IsFragment;
        if (check && !packet.HasValidChecksum(upper.Source, upper.Destination)) text.Append(", bad tcp cksum");
    }

    private static void AppendFlags(ref TextSpan text, TcpFlags flags)
    {
        const string Letters = "FSRP.UEWe";
        if (flags == 0) text.Append("none");
        for (int bit = 0; bit < Letters.Length; bit++)
        {
            if (((int)flags >> bit & 1) != 0) text.Append(Letters[bit]);
        }
    }

    private static void AppendNumbers(ref TextSpan text, TcpPacket packet)
    {
        int length = packet.Payload.Length;
        if (length > 0 || (packet.Flags & (TcpFlags.Syn | TcpFlags.Fin | TcpFlags.Rst)) != 0)
        {
            text.Append(", seq ");
            text.Append(packet.Seq.Value);
            if (length > 0)
            {
                text.Append(':');
                text.Append((packet.Seq + (uint)length).Value);
            }
        }

        if ((packet.Flags & TcpFlags.Ack) != 0)
        {
            text.Append(", ack ");
            text.Append(packet.Ack.Value);
        }

        text.Append(", win ");
        text.Append((uint)packet.Window.Value);
        if ((packet.Flags & TcpFlags.Urg) == 0) return;
        text.Append(", urg ");
        text.Append((uint)packet.UrgentPointer);
    }

    private static void AppendOptions(ref TextSpan text, ReadOnlySpan<byte> bytes)
    {
        text.Append(", options [");
        bool first = true;
        while (!bytes.IsEmpty)
        {
            if (!first) text.Append(',');
            first = false;
            if (bytes[0] <= TcpOptionKind.NoOperation)
            {
                bool ends = bytes[0] == TcpOptionKind.EndOfList;
                text.Append(ends ? "eol" : "nop");
                if (ends) break;
                bytes = bytes[1..];
                continue;
            }

            int length = bytes.Length > 1 ? bytes[1] : 0;
            if (length < 2 || length > bytes.Length)
            {
                text.Append("[bad opt]");
                break;
            }

            AppendOption(ref text, bytes[0], bytes[2..length]);
            bytes = bytes[length..];
        }

        text.Append(']');
    }

    private static void AppendOption(ref TextSpan text, byte kind, ReadOnlySpan<byte> content)
    {
        switch (kind)
        {
            case TcpOptionKind.Mss when content.Length == 2:
                text.Append("mss ");
                text.Append((uint)BinaryPrimitives.ReadUInt16BigEndian(content));
                break;
            case TcpOptionKind.WindowScale when content.Length == 1:
                text.Append("wscale ");
                text.Append((uint)content[0]);
                break;
            case TcpOptionKind.SackPermitted when content.IsEmpty:
                text.Append("sackOK");
                break;
            case TcpOptionKind.Sack when content.Length % 8 == 0:
                AppendSack(ref text, content);
                break;
            case TcpOptionKind.Timestamps when content.Length == 8:
                text.Append("TS val ");
                text.Append(BinaryPrimitives.ReadUInt32BigEndian(content));
                text.Append(" ecr ");
                text.Append(BinaryPrimitives.ReadUInt32BigEndian(content[4..]));
                break;
            case TcpOptionKind.UserTimeout when content.Length == 2:
                ushort field = BinaryPrimitives.ReadUInt16BigEndian(content);
                text.Append("uto ");
                text.Append(field & 0x7FFF);
                text.Append((field & 0x8000) != 0 ? " min" : " s");
                break;
            case TcpOptionKind.AccurateEcn0 or TcpOptionKind.AccurateEcn1:
                AppendAccurateEcn(ref text, kind, content);
                break;
            case TcpOptionKind.FastOpen when content.IsEmpty:
                text.Append("tfo  cookiereq");
                break;
            case TcpOptionKind.FastOpen:
                text.Append("tfo  cookie ");
                AppendBytes(ref text, content);
                break;
            default:
                AppendNamedOrUnknown(ref text, kind, content);
                break;
        }
    }

    private static void AppendAccurateEcn(ref TextSpan text, byte kind, ReadOnlySpan<byte> content)
    {
        var option = AccurateEcnOption.Read(kind, content);
        text.Append(kind == TcpOptionKind.AccurateEcn0 ? "accecn0" : "accecn1");
        if (option.HasEct0) AppendCounter(ref text, " e0b ", option.Ect0Bytes);
        if (option.HasCe) AppendCounter(ref text, " ceb ", option.CeBytes);
        if (option.HasEct1) AppendCounter(ref text, " e1b ", option.Ect1Bytes);

        static void AppendCounter(ref TextSpan text, string name, uint value)
        {
            text.Append(name);
            text.Append(value);
        }
    }

    private static void AppendNamedOrUnknown(ref TextSpan text, byte kind, ReadOnlySpan<byte> content)
    {
        switch (kind)
        {
            case TcpOptionKind.Md5:
                text.Append("md5");
                break;
            case TcpOptionKind.Authentication:
                text.Append("tcp-ao");
                if (content.Length < 2) break;
                text.Append(" keyid ");
                text.Append((uint)content[0]);
                text.Append(" rnextkeyid ");
                text.Append((uint)content[1]);
                break;
            case TcpOptionKind.Mptcp:
                text.Append("mptcp");
                if (content.IsEmpty) break;
                text.Append(" subtype ");
                text.Append(content[0] >> 4);
                break;
            default:
                text.Append("unknown-");
                text.Append((uint)kind);
                if (content.IsEmpty) break;
                text.Append(" 0x");
                AppendBytes(ref text, content);
                break;
        }
    }

    private static void AppendSack(ref TextSpan text, ReadOnlySpan<byte> blocks)
    {
        text.Append("sack ");
        text.Append(blocks.Length / 8);
        text.Append(' ');
        for (; blocks.Length >= 8; blocks = blocks[8..])
        {
            text.Append('{');
            text.Append(BinaryPrimitives.ReadUInt32BigEndian(blocks));
            text.Append(':');
            text.Append(BinaryPrimitives.ReadUInt32BigEndian(blocks[4..]));
            text.Append('}');
        }
    }

    private static void AppendBytes(ref TextSpan text, ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes) text.AppendHex(b, 2);
    }
}
