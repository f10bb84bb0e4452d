// A segment on its way through RFC 9293 §3.10.7: parsed, in host order, and trimmed step by step to what lies in the window.
using System.Runtime.CompilerServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>The segment that is being processed.</summary>
internal struct SegmentArrival
{
    internal SeqNumber Seq;
    internal SeqNumber Ack;

    /// <summary>Where the payload (what is left of it) starts, from the frame's first byte.</summary>
    internal int PayloadOffset;

    /// <summary>Payload bytes that are left.</summary>
    internal int PayloadLength;
    internal ushort LocalPort;
    internal ushort RemotePort;
    internal ushort RawWindow;
    internal ushort UrgentPointer;

    /// <summary>Payload bytes of one wire segment: less than the payload's length when the link merged several.</summary>
    internal ushort WireSize;

    /// <summary>Segments that this one was merged from here: 1 when it came as it is, or the link had merged it already.</summary>
    internal ushort SegmentCount;
    internal TcpFlags Flags;
    internal TcpOptions Options;

    /// <summary>SEG.LEN: payload, SYN and FIN.</summary>
    internal readonly uint Length
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (uint)PayloadLength + ((uint)Flags & 1) + (((uint)Flags >> 1) & 1);
    }

    internal readonly SeqNumber End => Seq + Length;

    internal readonly bool IsSyn => (Flags & TcpFlags.Syn) != 0;

    internal readonly bool IsAck => (Flags & TcpFlags.Ack) != 0;

    internal readonly bool IsRst => (Flags & TcpFlags.Rst) != 0;

    internal readonly bool IsFin => (Flags & TcpFlags.Fin) != 0;

    /// <summary>Drops <paramref name="count"/> sequence numbers at the front: first a SYN, then payload, then a FIN.</summary>
    internal void TrimFront(uint count)
    {
        Seq += count;
        if (IsSyn && count > 0)
        {
            Flags &= ~TcpFlags.Syn;
            count--;
        }
        var bytes = (int)Math.Min(count, (uint)PayloadLength);
        PayloadOffset += bytes;
        PayloadLength -= bytes;
        if (count > (uint)bytes) Flags &= ~TcpFlags.Fin;
    }

    /// <summary>Keeps only what lies before <paramref name="edge"/>. A FIN takes no room: one right at the edge stays.</summary>
    internal void TrimBack(SeqNumber edge)
    {
        if (!End.IsAfter(edge)) return;
        var room = Math.Max(0, edge - Seq);
        var syn = IsSyn ? 1 : 0;
        if (PayloadLength + syn <= room) return;
        PayloadLength = Math.Max(0, room - syn);
        Flags &= ~(TcpFlags.Fin | TcpFlags.Psh);
    }
}
