// One line for any frame, in tcpdump's manner. It reads hostile bytes: it never throws, writes into the caller's span, cuts off what
// does not fit, and allocates nothing. It keeps no state, so TCP numbers are absolute (as with tcpdump -S).
using System.Buffers;
using System.Text;

namespace Peregrine.Wire;

/// <summary>What else a printed line shows.</summary>
[Flags]
public enum FramePrinterOptions
{
    /// <summary>Network and transport layers only.</summary>
    None = 0,

    /// <summary>Ethernet addresses, type and frame length in front, as with tcpdump -e.</summary>
    LinkHeader = 1,

    /// <summary>A note behind the line when a checksum is wrong. Frames whose checksum a device is to complete show it too.</summary>
    Checksums = 2,
}

/// <summary>Prints frames as one line each.</summary>
public static class FramePrinter
{
    /// <summary>Characters of a line at most; longer ones are cut off.</summary>
    public const int LineLengthMax = 768;

    // A tunnel or an error inside an error could go on for ever.
    internal const int DepthMax = 3;

    /// <summary>Prints an Ethernet frame.</summary>
    /// <returns>Characters written, at most the destination's length.</returns>
    public static int Print(ReadOnlySpan<byte> frame, Span<char> destination, FramePrinterOptions options = FramePrinterOptions.None)
    {
        var text = new TextSpan(destination);
        AppendFrame(ref text, frame, options);
        return text.Length;
    }

    /// <summary>Prints an IP packet that has no link header.</summary>
    /// <returns>Characters written, at most the destination's length.</returns>
    public static int PrintPacket(ReadOnlySpan<byte> packet, Span<char> destination, FramePrinterOptions options = FramePrinterOptions.None)
    {
        var text = new TextSpan(destination);
        IpPrinter.AppendPacket(ref text, packet, options, 0);
        return text.Length;
    }

    /// <summary>Prints an Ethernet frame into a buffer writer.</summary>
    public static void Print(ReadOnlySpan<byte> frame, IBufferWriter<char> destination, FramePrinterOptions options = FramePrinterOptions.None)
    {
        ArgumentNullException.ThrowIfNull(destination);
        destination.Advance(Print(frame, destination.GetSpan(LineLengthMax)[..LineLengthMax], options));
    }

    /// <summary>Prints an Ethernet frame at the end of a string builder.</summary>
    public static void Print(ReadOnlySpan<byte> frame, StringBuilder destination, FramePrinterOptions options = FramePrinterOptions.None)
    {
        ArgumentNullException.ThrowIfNull(destination);
        Span<char> line = stackalloc char[LineLengthMax];
        destination.Append(line[..Print(frame, line, options)]);
    }

    /// <summary>Prints an Ethernet frame as a string.</summary>
    public static string Print(ReadOnlySpan<byte> frame, FramePrinterOptions options = FramePrinterOptions.None)
    {
        Span<char> line = stackalloc char[LineLengthMax];
        return new string(line[..Print(frame, line, options)]);
    }

    private static void AppendFrame(ref TextSpan text, ReadOnlySpan<byte> bytes, FramePrinterOptions options)
    {
        if (!EthernetFrame.TryParse(bytes, out EthernetFrame frame))
        {
            text.Append("[|ether], length ");
            text.Append(bytes.Length);
            return;
        }

        if ((options & FramePrinterOptions.LinkHeader) != 0) AppendLinkHeader(ref text, frame);
        if (frame.TagCount > 0) AppendTag(ref text, frame.OuterTag);
        if (frame.TagCount > 1) AppendTag(ref text, frame.InnerTag);
        switch (frame.EtherType)
        {
            case EtherType.IPv4:
            case EtherType.IPv6:
                IpPrinter.AppendPacket(ref text, frame.Payload, options, 0);
                break;
            case EtherType.Arp:
                AppendArp(ref text, frame.Payload);
                break;
            default:
                text.Append(frame.EtherType < EtherType.Min ? "802.3" : "ethertype Unknown (0x");
                if (frame.EtherType >= EtherType.Min)
                {
                    text.AppendHex(frame.EtherType, 4);
                    text.Append(')');
                }

                text.Append(", length ");
                text.Append(frame.Payload.Length);
                break;
        }
    }

    private static void AppendLinkHeader(ref TextSpan text, EthernetFrame frame)
    {
        text.Append(frame.Source);
        text.Append(" > ");
        if (frame.Destination.IsBroadcast) text.Append("Broadcast");
        else text.Append(frame.Destination);
        text.Append(", ethertype ");
        ushort type = frame.Header.EtherType;
        text.Append(type switch
        {
            EtherType.IPv4 => "IPv4",
            EtherType.IPv6 => "IPv6",
            EtherType.Arp => "ARP",
            EtherType.Vlan => "802.1Q",
            EtherType.ServiceVlan => "802.1Q-QinQ",
            EtherType.OldServiceVlan => "802.1Q-9100",
            _ => "Unknown",
        });
        text.Append(" (0x");
        text.AppendHex(type, 4);
        text.Append("), length ");
        text.Append(frame.Bytes.Length);
        text.Append(": ");
    }

    private static void AppendTag(ref TextSpan text, VlanTag tag)
    {
        text.Append("vlan ");
        text.Append(tag.Id);
        text.Append(", p ");
        text.Append(tag.Priority);
        text.Append(tag.IsDropEligible ? ", DEI, " : ", ");
    }

    private static void AppendArp(ref TextSpan text, ReadOnlySpan<byte> bytes)
    {
        if (!ArpPacket.TryParse(bytes, out ArpPacket packet))
        {
            text.Append("ARP, [|arp], length ");
            text.Append(bytes.Length);
            return;
        }

        text.Append("ARP, ");
        if (packet.Operation == ArpOperation.Request)
        {
            text.Append("Request who-has ");
            text.Append(packet.TargetAddress);
            if (!packet.TargetMac.IsZero)
            {
                text.Append(" (");
                if (packet.TargetMac.IsBroadcast) text.Append("Broadcast");
                else text.Append(packet.TargetMac);
                text.Append(')');
            }

            text.Append(" tell ");
            text.Append(packet.SenderAddress);
        }
        else if (packet.Operation == ArpOperation.Reply)
        {
            text.Append("Reply ");
            text.Append(packet.SenderAddress);
            text.Append(" is-at ");
            text.Append(packet.SenderMac);
        }
        else
        {
            text.Append("Unknown (");
            text.Append((uint)packet.Operation);
            text.Append(')');
        }

        text.Append(", length ");
        text.Append(bytes.Length);
    }
}
