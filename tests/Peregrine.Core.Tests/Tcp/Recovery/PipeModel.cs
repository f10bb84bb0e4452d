// RFC 6675 taken literally, one cell a segment, everything counted anew each time: what the scoreboard's sums are held against. But for
// one thing: HighRxt is a mark on each cell, so that what one recovery sent again beyond its recovery point is not forgotten by the next.
namespace Peregrine.Core.Tests.Tcp.Recovery;

internal sealed class PipeModel
{
    private readonly List<bool> _sacked = [];
    private readonly List<bool> _again = [];

    internal int Una { get; private set; }

    internal int Max { get; private set; }

    internal bool InRecovery { get; private set; }

    private int _dupAcks, _recoveryPoint, _rescueRxt;

    internal void Send(int cells)
    {
        for (var i = 0; i < cells; i++)
        {
            _sacked.Add(false);
            _again.Add(false);
        }
        Max += cells;
    }

    internal int SackedCount => Enumerable.Range(Una, Max - Una).Count(i => _sacked[i]);

    // §4 IsLost: three discontiguous SACKed sequences, or more than two segments, above.
    internal bool IsLost(int cell)
    {
        int runs = 0, count = 0;
        for (var i = cell + 1; i < Max; i++)
        {
            if (!_sacked[i]) continue;
            count++;
            if (!_sacked[i - 1]) runs++;
        }
        return runs >= 3 || count > 2;
    }

    // §4 SetPipe.
    internal int Pipe()
    {
        var pipe = 0;
        for (var i = Una; i < Max; i++)
        {
            if (_sacked[i]) continue;
            if (!IsLost(i)) pipe++;
            if (_again[i]) pipe++;
        }
        return pipe;
    }

    // §4 NextSeg without rule (2).
    internal int? NextSeg(bool hasNewData)
    {
        var top = _sacked.LastIndexOf(true);
        for (var i = Una; i < top; i++)
        {
            if (!_sacked[i] && !_again[i] && IsLost(i)) return i;
        }
        if (hasNewData) return null;
        for (var i = Una; i < top; i++)
        {
            if (!_sacked[i] && !_again[i]) return i;
        }
        if (Una <= _rescueRxt) return null;
        for (var i = Max - 1; i >= Una; i--)
        {
            if (!_sacked[i]) return i;
        }
        return null;
    }

    internal void Retransmit(int cell, bool hasNewData)
    {
        var top = _sacked.LastIndexOf(true);
        var isRescue = !(!_again[cell] && cell < top) && !hasNewData && Una > _rescueRxt;
        if (isRescue) _rescueRxt = _recoveryPoint;
        else _again[cell] = true;
    }

    /// <summary>§5. True when fast recovery begins, whose first retransmission is then counted.</summary>
    internal bool Ack(int ack, IEnumerable<(int Left, int Right)> blocks)
    {
        var before = Enumerable.Range(Math.Max(ack, Una), Math.Max(0, Max - Math.Max(ack, Una))).Count(i => _sacked[i]);
        if (ack > Una) (Una, _dupAcks) = (ack, 0);
        foreach (var (left, right) in blocks)
        {
            for (var i = Math.Max(left, Una); i < right; i++) _sacked[i] = true;
        }
        var isDuplicate = SackedCount > before;
        if (InRecovery)
        {
            if (Una < _recoveryPoint) return false;
            InRecovery = false;
            return Una < Max && !_sacked[Una] && IsLost(Una) && Enter();
        }
        if (!isDuplicate) return false;
        _dupAcks++;
        return (_dupAcks >= 3 || IsLost(Una)) && Enter();
    }

    private bool Enter()
    {
        InRecovery = true;
        _recoveryPoint = Max;
        _rescueRxt = Una + 1;
        _again[Una] = true;
        return true;
    }
}
