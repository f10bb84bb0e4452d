// Where a turn's time goes: the clock is read between the stages of every so many turns, and the differences are summed. Off, it is a null
// reference and a branch a stage. Not a profiler of code: the stages are those of the loop, each with all that it calls.
namespace Peregrine;

/// <summary>Sampled turns. Written by the core alone, read by anybody.</summary>
internal sealed class TurnProfile(int everyTurns, CoreClock clock)
{
    private TurnSums _turn;
    private TurnSums _sums;
    private long _last;
    private int _left;
    private bool _isSampled;

    /// <summary>Sums so far.</summary>
    internal ref TurnSums Sums => ref _sums;

    /// <summary>A turn begins.</summary>
    internal void Begin()
    {
        _isSampled = --_left <= 0;
        if (!_isSampled) return;
        _left = everyTurns;
        _turn = default;
        _last = clock.Now().Nanoseconds;
    }

    /// <summary>A stage has ended.</summary>
    internal void Mark(TurnStage stage)
    {
        if (!_isSampled) return;
        var now = clock.Now().Nanoseconds;
        _turn.Of(stage) += now - _last;
        _last = now;
    }

    /// <summary>The turn has ended. One that moved no frame is a look that found nothing, and is not counted.</summary>
    internal void End(int received, int sent)
    {
        if (!_isSampled || received + sent == 0) return;
        _sums.Turns++;
        _sums.ReceivedFrames += received;
        _sums.SentFrames += sent;
        for (var stage = TurnStage.Receive; stage <= TurnStage.Reclaim; stage++) _sums.Of(stage) += _turn.Of(stage);
        // How much of each sum is the reading itself: two readings with nothing between them.
        var before = clock.Now().Nanoseconds;
        _sums.ClockNs += clock.Now().Nanoseconds - before;
    }
}

/// <summary>The stages of a turn, in their order.</summary>
internal enum TurnStage
{
    Receive,
    Input,
    Commands,
    Timers,
    Application,
    Output,
    Transmit,
    Reclaim,
}

/// <summary>Sums over sampled turns that moved frames, in nanoseconds; each stage holds one reading of the clock, whose own cost is summed too.</summary>
internal struct TurnSums
{
    public long Turns;
    public long ReceivedFrames;
    public long SentFrames;
    public long ClockNs;
    public long ReceiveNs;
    public long InputNs;
    public long CommandsNs;
    public long TimersNs;
    public long ApplicationNs;
    public long OutputNs;
    public long TransmitNs;
    public long ReclaimNs;

    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    internal ref long Of(TurnStage stage)
    {
        switch (stage)
        {
            case TurnStage.Receive: return ref ReceiveNs;
            case TurnStage.Input: return ref InputNs;
            case TurnStage.Commands: return ref CommandsNs;
            case TurnStage.Timers: return ref TimersNs;
            case TurnStage.Application: return ref ApplicationNs;
            case TurnStage.Output: return ref OutputNs;
            case TurnStage.Transmit: return ref TransmitNs;
            default: return ref ReclaimNs;
        }
    }
}
