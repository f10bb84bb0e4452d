// The last step of output: the link's header and the interface's burst. Neighbours are resolved before.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Puts frames into interfaces' bursts.</summary>
internal sealed class LinkOutput(IpLayer ip)
{
    /// <summary>Sends a packet to a link-layer address. Owns the frame.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Send(int interfaceIndex, ref Frame frame, MacAddress destination, ushort etherType)
    {
        IpInterface link = ip.Interface(interfaceIndex);
        if (!ip.Frames.TryPrepend(ref frame, EthernetHeader.Length, out Span<byte> header))
        {
            ip.Counters.SendDroppedHeadroom++;
            ip.Frames.Return(frame);
            return;
        }

        // RFC 1122 §2.3.3: Ethernet II (RFC 894).
        EthernetHeader.Write(header, destination, link.Mac, etherType);
        Enqueue(link, frame);
    }

    /// <summary>Sends a packet over a link without addresses, or back to ourselves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SendBare(int interfaceIndex, ref Frame frame) => Enqueue(ip.Interface(interfaceIndex), frame);

    /// <summary>Sends a message of the layer's own (ARP, neighbour discovery), which may use the reserve. It is not counted as IP.</summary>
    public bool TrySendUrgent(IpInterface link, ref Frame frame, MacAddress destination, ushort etherType)
    {
        bool prepended = true;
        if (link.IsEthernet)
        {
            prepended = ip.Frames.TryPrepend(ref frame, EthernetHeader.Length, out Span<byte> header);
            if (prepended) EthernetHeader.Write(header, destination, link.Mac, etherType);
        }

        if (prepended && link.TryEnqueue(frame, urgent: true)) return true;
        if (prepended) ip.Counters.SendDroppedFull++;
        else ip.Counters.SendDroppedHeadroom++;
        ip.Frames.Return(frame);
        return false;
    }

    private void Enqueue(IpInterface link, in Frame frame)
    {
        if (link.TryEnqueue(frame, urgent: false))
        {
            ip.Counters.Sent++;
            return;
        }

        ip.Counters.SendDroppedFull++;
        ip.Frames.Return(frame);
    }
}
