// Settings records by number: a TCB holds two bytes of them, and loss recovery is told what each number means to it.
namespace Peregrine.Core.Tcp;

/// <summary>Settings records by number, each held once and counted.</summary>
internal sealed class TcpSettingsTable
{
    private readonly Dictionary<TcpSettings, ushort> _numbers = [];
    private TcpSettings?[] _records = new TcpSettings?[4];
    private int _count;
    private readonly List<long> _counts = [];
    private readonly Stack<ushort> _free = new();
    private readonly Recovery.LossRecovery? _recovery;
    private readonly StackOptions? _options;

    /// <summary>Number 0 is the stack's own record and stays.</summary>
    /// <param name="defaults">The stack's record.</param>
    /// <param name="recovery">Told what each new number means, where there is one.</param>
    /// <param name="options">The stack's options, which recovery goes by as well.</param>
    internal TcpSettingsTable(TcpSettings defaults, Recovery.LossRecovery? recovery = null, StackOptions? options = null)
    {
        (_recovery, _options) = (recovery, options);
        TryAcquire(defaults, out _);
    }

    internal TcpSettings this[int number] => _records[number]!;

    /// <summary>The record's number, counted once more; false when 65,536 different records are in use.</summary>
    internal bool TryAcquire(TcpSettings settings, out ushort number)
    {
        if (_numbers.TryGetValue(settings, out number))
        {
            _counts[number]++;
            return true;
        }
        settings.Validate();
        if (!_free.TryPop(out number))
        {
            if (_count > ushort.MaxValue) return false;
            if (_count == _records.Length) Array.Resize(ref _records, 2 * _count);
            number = (ushort)_count++;
            _counts.Add(0);
        }
        _records[number] = settings;
        if (_options is not null) _recovery?.Use(number, Recovery.RecoverySettings.Of(_options, settings));
        _counts[number] = 1;
        _numbers.Add(settings, number);
        return true;
    }

    /// <summary>Counts one more user of a record that is in use.</summary>
    internal void Share(ushort number) => _counts[number]++;

    internal void Release(ushort number)
    {
        if (--_counts[number] > 0) return;
        _numbers.Remove(_records[number]!);
        _records[number] = null;
        _free.Push(number);
    }
}
