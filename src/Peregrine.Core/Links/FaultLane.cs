// One direction of a fault injector: frames go in, those that survive come out, in an order that the seed decides.
// Time-free and without allocation after it was made. Owns the frames between in and out.
using Peregrine.Core.Memory;

namespace Peregrine.Core.Links;

internal sealed class FaultLane
{
    private const int Million = 1_000_000;
    private const int DepthLimit = 64;
    private const int OutputCount = 256;

    private readonly FaultOptions _options;
    private readonly HashSet<long> _dropNumbers;
    private readonly FramePool _frames;
    private readonly Frame[] _held = new Frame[DepthLimit];
    private readonly int[] _passesLeft = new int[DepthLimit];
    private readonly Frame[] _output = new Frame[OutputCount];
    private int _heldCount, _outputStart, _outputCount;
    private ulong _random;

    public FaultLane(FaultOptions options, FramePool frames, ulong salt)
    {
        (_options, _frames) = (options, frames);
        _dropNumbers = [.. options.DropNumbers];
        _random = options.Seed ^ (salt * 0x9E37_79B9_7F4A_7C15);
    }

    public FaultCounters Counters;

    /// <summary>While false, frames pass untouched.</summary>
    public bool IsActive { get; set; } = true;

    /// <summary>Frames that can come in for certain: each may come out twice and set all held ones free.</summary>
    public int Room => Math.Max(0, (OutputCount - DepthLimit - _outputCount) / 2);

    /// <summary>Frames that have come out and not been taken.</summary>
    public ReadOnlySpan<Frame> Output => _output.AsSpan(_outputStart, _outputCount);

    public void Taken(int count)
    {
        _outputStart += count;
        _outputCount -= count;
        if (_outputCount == 0) _outputStart = 0;
    }

    /// <summary>Takes a frame in; there must be <see cref="Room"/>.</summary>
    public void Put(Frame frame)
    {
        Counters.Frames++;
        if (!IsActive)
        {
            Pass(frame);
            return;
        }
        // All chances are drawn for every frame, so that one setting does not shift the others' luck.
        bool lose = Happens(_options.LossPerMillion), corrupt = Happens(_options.CorruptionPerMillion), cut = Happens(_options.TruncationPerMillion);
        bool twice = Happens(_options.DuplicationPerMillion), hold = Happens(_options.ReorderingPerMillion);
        ulong where = NextRandom(), depth = NextRandom();
        if (lose || _dropNumbers.Contains(Counters.Frames))
        {
            Counters.Lost++;
            _frames.Return(frame);
            return;
        }
        if (corrupt || cut) Damage(ref frame, corrupt, cut, where);
        if (twice) Duplicate(frame);
        if (!hold || !TryHold(frame, 1 + (int)(depth % (ulong)Math.Clamp(_options.ReorderingDepthMax, 1, DepthLimit)))) Pass(frame);
    }

    /// <summary>Lets all held frames out, oldest first.</summary>
    public void Release()
    {
        for (var i = 0; i < _heldCount; i++) Emit(_held[i]);
        _heldCount = 0;
    }

    /// <summary>Gives every frame back.</summary>
    public void Clear()
    {
        Release();
        foreach (ref readonly var frame in Output) _frames.Return(frame);
        Taken(_outputCount);
    }

    private void Pass(in Frame frame)
    {
        Emit(frame);
        var kept = 0;
        for (var i = 0; i < _heldCount; i++)
        {
            if (--_passesLeft[i] <= 0)
            {
                Emit(_held[i]);
                continue;
            }
            (_held[kept], _passesLeft[kept]) = (_held[i], _passesLeft[i]);
            kept++;
        }
        _heldCount = kept;
    }

    private void Emit(in Frame frame)
    {
        if (_outputStart + _outputCount == OutputCount)
        {
            _output.AsSpan(_outputStart, _outputCount).CopyTo(_output);
            _outputStart = 0;
        }
        _output[_outputStart + _outputCount++] = frame;
    }

    private bool TryHold(in Frame frame, int passes)
    {
        if (_heldCount == DepthLimit)
        {
            Counters.Omitted++;
            return false;
        }
        Counters.Reordered++;
        (_held[_heldCount], _passesLeft[_heldCount]) = (frame, passes);
        _heldCount++;
        return true;
    }

    private void Duplicate(in Frame frame)
    {
        if (FrameCopy.TryCopy(_frames, frame, _frames, out var copy))
        {
            Counters.Duplicated++;
            Emit(copy);
        }
        else
        {
            Counters.Omitted++;
        }
    }

    private void Damage(ref Frame frame, bool corrupt, bool cut, ulong where)
    {
        // A checksum that is finished later would cover the damage, and one that was verified would not show it.
        if (frame.SegmentKind != SegmentKind.None
            || ((frame.Flags & FrameFlags.ChecksumUnfinished) != 0 && !FrameChecksum.TryFinish(_frames, ref frame)))
        {
            Counters.Omitted++;
            return;
        }
        frame.Flags &= ~FrameFlags.ChecksumVerified;
        if (corrupt && frame.HeadLength > 0)
        {
            _frames.Head(frame)[(int)(where % frame.HeadLength)] ^= (byte)(1 << (int)((where >> 32) % 8));
            Counters.Corrupted++;
        }
        if (!cut || frame.Length < 2) return;
        Cut(ref frame, 1 + (int)((where >> 16) % (ulong)(frame.Length - 1)));
        Counters.Truncated++;
    }

    private void Cut(ref Frame frame, int length)
    {
        var chunks = _frames.Chunks;
        var rest = length - frame.HeadLength;
        if (rest <= 0) frame.HeadLength = (ushort)length;
        frame.Length = length;
        var last = frame.Chunk;
        while (rest > 0)
        {
            last = chunks.Note(last).Next;
            ref var note = ref chunks.Note(last);
            if (rest < note.Length) note.Length = (ushort)rest;
            rest -= note.Length;
        }
        var beyond = chunks.Note(last).Next;
        chunks.Note(last).Next = ChunkPool.None;
        chunks.ReturnChain(beyond);
    }

    private bool Happens(int perMillion) => NextRandom() % Million < (ulong)perMillion;

    // SplitMix64: a word of state a direction, so that no other part of the stack shifts the faults.
    private ulong NextRandom()
    {
        var z = _random += 0x9E37_79B9_7F4A_7C15;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }
}
