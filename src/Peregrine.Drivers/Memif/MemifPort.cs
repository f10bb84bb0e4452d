// What a queue does with one ring of a session: receive bursts from it or send bursts to it. Four kinds, because the client owns the
// memory and the server finds its way in it by what the client wrote. Each belongs to one core.
using System.Runtime.CompilerServices;
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

/// <summary>The receiving side of a ring pair.</summary>
internal abstract class MemifReceiver(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits)
{
    protected MemifSession Session => session;

    protected MemifRing Ring => ring;

    protected FramePool Frames => frames;

    protected MemifLimits Limits => limits;

    public int EventDescriptor => ring.EventDescriptor;

    /// <summary>Whether packets wait, as far as can be said without looking at them.</summary>
    public abstract bool HasFrames { get; }

    public abstract int Receive(Span<Frame> burst, ref LinkQueueCounters counters);

    public void SetSignalWanted(bool wanted) => ring.SetSignalWanted(wanted);

    /// <summary>Gives back what frames it holds. The session is over.</summary>
    public virtual void Close()
    {
    }

    protected bool TryFinish(ref FrameAssembly assembly, bool isWellFormed, ref LinkQueueCounters counters)
    {
        if (isWellFormed && !assembly.IsShort && assembly.Frame.Length >= limits.Shortest)
        {
            counters.ReceivedBytes += assembly.Frame.Length;
            if (limits.Medium == LinkMedium.Ethernet && (frames.Head(assembly.Frame)[0] & 1) != 0) assembly.Frame.Flags |= FrameFlags.Broadcast;
            return true;
        }
        if (assembly.IsShort) counters.ReceiveDroppedNoMemory++;
        else counters.ReceiveDroppedMalformed++;
        assembly.Abandon();
        return false;
    }
}

/// <summary>The sending side of a ring pair.</summary>
internal abstract class MemifSender(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits)
{
    protected MemifSession Session => session;

    protected MemifRing Ring => ring;

    protected FramePool Frames => frames;

    /// <summary>Takes frames from the start of the burst; those taken are sent or counted as dropped.</summary>
    public abstract int Transmit(ReadOnlySpan<Frame> burst, ref LinkQueueCounters counters);

    /// <summary>Gives frames back that the peer has finished with.</summary>
    public virtual void Reclaim()
    {
    }

    /// <summary>Gives back what frames it holds. The session is over.</summary>
    public virtual void Close()
    {
    }

    // The link has no offloads: a frame that needs some would look like a good one at the other end.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected bool IsSendable(in Frame frame) =>
        frame.Length <= limits.Longest && frame.Length > 0 && frame.SegmentKind == SegmentKind.None
        && (frame.Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.VlanTag)) == 0;

    protected void Drop(in Frame frame, ref LinkQueueCounters counters)
    {
        counters.SendDroppedError++;
        frames.Return(frame);
    }

    /// <summary>After the index is stored: wakes a consumer that wants to be woken.</summary>
    protected unsafe void Signal(ref LinkQueueCounters counters)
    {
        // The consumer says that it sleeps and then looks at the index; we store the index and then look at what it says.
        Interlocked.MemoryBarrier();
        if (!ring.IsSignalWanted || ring.EventDescriptor < 0) return;
        counters.SystemCalls++;
        ulong one = 1;
        Posix.Write(ring.EventDescriptor, &one, sizeof(ulong));
    }
}

/// <summary>What a frame on the link may be.</summary>
internal sealed record MemifLimits(LinkMedium Medium, int Shortest, int Longest);

/// <summary>A frame that is being put together from pieces of shared memory, by copying.</summary>
internal unsafe struct FrameAssembly(FramePool frames)
{
    // Behind an Ethernet header of 14 bytes the IP header starts at a multiple of 16, with room to answer in place.
    public const int HeadOffset = 66;

    private uint _last = ChunkPool.None;

    public Frame Frame;

    /// <summary>There was no chunk for it: the rest is not kept.</summary>
    public bool IsShort { get; private set; }

    public void Append(byte* source, int length)
    {
        if (IsShort) return;
        if (_last == ChunkPool.None)
        {
            if (!frames.TryRent(out Frame, HeadOffset))
            {
                IsShort = true;
                return;
            }
            _last = Frame.Chunk;
        }
        while (length > 0)
        {
            var room = Room(out var target);
            if (room == 0)
            {
                if (!frames.TryExtend(ref Frame, ref _last, 0))
                {
                    IsShort = true;
                    return;
                }
                continue;
            }
            var n = Math.Min(room, length);
            Unsafe.CopyBlockUnaligned(target, source, (uint)n);
            Frame.Length += n;
            if (_last == Frame.Chunk) Frame.HeadLength += (ushort)n;
            else frames.Chunks.Note(_last).Length += (ushort)n;
            source += n;
            length -= n;
        }
    }

    /// <summary>Gives the chunks back.</summary>
    public void Abandon()
    {
        if (_last == ChunkPool.None) return;
        frames.Chunks.ReturnChain(Frame.Chunk);
        _last = ChunkPool.None;
    }

    private readonly int Room(out byte* target)
    {
        var capacity = Math.Min(frames.Chunks.ChunkSize, ushort.MaxValue);
        if (_last == Frame.Chunk)
        {
            target = frames.Chunks.Address(_last) + Frame.Offset + Frame.HeadLength;
            return capacity - Frame.Offset - Frame.HeadLength;
        }
        ref var note = ref frames.Chunks.Note(_last);
        target = frames.Chunks.Address(_last) + note.Start + note.Length;
        return capacity - note.Start - note.Length;
    }
}
