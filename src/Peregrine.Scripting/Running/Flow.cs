// One connection as a script sees it: its ports, and what its relative numbers are on the wire.
using System.Buffers.Binary;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

/// <summary>The numbers of one connection.</summary>
internal sealed class Flow(ushort localPort, ushort remotePort)
{
    private readonly Dictionary<uint, uint> _liveStamps = [];

    internal ushort LocalPort { get; } = localPort;

    internal ushort RemotePort { get; } = remotePort;

    /// <summary>Our stack's initial sequence number, once seen.</summary>
    internal uint? LocalIsn { get; set; }

    /// <summary>What the script calls that number.</summary>
    internal uint LocalScriptIsn { get; set; }

    /// <summary>The script's initial sequence number; the same on the wire.</summary>
    internal uint? RemoteIsn { get; set; }

    /// <summary>Whether the script has acknowledged the SYN-ACK: a further SYN starts another connection where there is a listener.</summary>
    internal bool HandshakeOver { get; set; }

    internal bool IsPassive { get; init; }

    /// <summary>How often sockets had been told to listen when it began.</summary>
    internal int ListenCount { get; init; }

    internal uint LocalBase => LocalIsn ?? 0;

    internal uint RemoteBase => RemoteIsn ?? 0;

    /// <summary>The last segment of data, SYN or FIN that our stack sent: what an ICMP error quotes when the script does not say.</summary>
    internal uint LastSeq { get; set; }

    internal bool HasStamps => _liveStamps.Count > 0;

    internal void LearnStamp(uint script, uint live) => _liveStamps[script] = live;

    /// <summary>What the script's echo of a timestamp is on the wire.</summary>
    internal uint LiveStamp(uint script) => _liveStamps.TryGetValue(script, out var live) ? live : FarStamp(script);

    // An echo of a value that was never seen keeps its distance from one that was.
    private uint FarStamp(uint script)
    {
        if (_liveStamps.Count == 0) return script;
        var (known, live) = _liveStamps.First();
        return live + (script - known);
    }
}

/// <summary>A packet that our stack sent.</summary>
/// <param name="AtMicroseconds">When, from the script's start.</param>
/// <param name="Bytes">The IP packet.</param>
/// <param name="TunnelPort">The UDP port from which datagrams hold TCP segments, or 0.</param>
internal sealed record SentPacket(long AtMicroseconds, byte[] Bytes, int TunnelPort)
{
    /// <summary>The number of the key that it was sealed with (PSP); 0 for clear text.</summary>
    internal uint PspSpi { get; init; }

    internal bool IsV4 => Bytes[0] >> 4 == 4;

    internal int HeaderLength => IsV4 ? (Bytes[0] & 15) * 4 : 40;

    internal int Protocol => Tunnel is not null ? IpProtocol.Tcp : OuterProtocol;

    private int OuterProtocol => IsV4 ? Bytes[9] : Bytes[6];

    /// <summary>UDP ports of a datagram that holds a TCP segment.</summary>
    internal (int From, int To)? Tunnel => OuterProtocol == IpProtocol.Udp && TunnelPort != 0 && Outer.Length >= 8 && BinaryPrimitives.ReadUInt16BigEndian(Outer) == TunnelPort
        ? (TunnelPort, BinaryPrimitives.ReadUInt16BigEndian(Outer[2..])) : null;

    internal int TrafficClass => IsV4 ? Bytes[1] : ((Bytes[0] & 15) << 4) | (Bytes[1] >> 4);

    internal int FlowLabel => IsV4 ? 0 : ((Bytes[1] & 15) << 16) | (Bytes[2] << 8) | Bytes[3];

    internal int HopLimit => IsV4 ? Bytes[8] : Bytes[7];

    private ReadOnlySpan<byte> Outer => Bytes.AsSpan(HeaderLength);

    internal ReadOnlySpan<byte> Payload => Tunnel is null ? Outer : Outer[UdpHeader.Length..];

    internal bool IsTcp => Protocol == IpProtocol.Tcp && Payload.Length >= TcpHeader.Length;
}
