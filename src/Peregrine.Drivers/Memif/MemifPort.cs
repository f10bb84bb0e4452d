// What a queue does with one ring of a session: receive bursts from it or send bursts to it. Four kinds, because the client owns the
// memory and the server finds its way in it by what the client wrote. Each belongs to one core.
using System.Runtime.CompilerServices;
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

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

    // Nobody at the other end would do what the frame still needs, and it would look like a good one there. Only a checksum is finished here.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected bool IsSendable(in Frame frame) =>
        frame.Length <= limits.Longest && frame.Length > 0 && frame.SegmentKind == SegmentKind.None
        && ((frame.Flags & (FrameFlags.ChecksumUnfinished | FrameFlags.VlanTag)) == 0 || IsFinishable(frame));

    private static bool IsFinishable(in Frame frame) =>
        (frame.Flags & FrameFlags.VlanTag) == 0 && frame.ChecksumStart + frame.ChecksumOffset + 2 <= frame.HeadLength;

    /// <summary>Copies a whole frame to where the peer finds it, and finishes its checksum on the way.</summary>
    protected unsafe void CopyWhole(in Frame frame, byte* to)
    {
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0) CopyAndFinish(frame, to);
        else frames.CopyTo(frame, 0, new Span<byte>(to, frame.Length));
    }

    // What is written is not read again: the peer may change it. The checksum's field holds the pseudo-header's sum and takes part in the sum.
    private unsafe void CopyAndFinish(in Frame frame, byte* to)
    {
        var head = frames.Head(frame);
        int start = frame.ChecksumStart;
        head[..start].CopyTo(new Span<byte>(to, start));
        var sum = InternetChecksum.CopyAndSum(head[start..], new Span<byte>(to + start, head.Length - start));
        var at = head.Length;
        if ((frame.Flags & FrameFlags.Gathered) != 0)
        {
            foreach (ref readonly var piece in frames.Pieces(frame)) CopyPart(piece.Bytes, to, ref at, start, ref sum);
        }
        else if (frame.IsChained)
        {
            for (var chunk = frames.Chunks.Note(frame.Chunk).Next; chunk != ChunkPool.None; chunk = frames.Chunks.Note(chunk).Next)
                CopyPart(frames.ChunkSpan(chunk), to, ref at, start, ref sum);
        }
        FrameChecksum.Store(new Span<byte>(to + start + frame.ChecksumOffset, 2), sum);
    }

    private static unsafe void CopyPart(ReadOnlySpan<byte> part, byte* to, ref int at, int start, ref uint sum)
    {
        var n = InternetChecksum.CopyAndSum(part, new Span<byte>(to + at, part.Length));
        sum = InternetChecksum.Combine(sum, n, ((at - start) & 1) != 0);
        at += part.Length;
    }

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
