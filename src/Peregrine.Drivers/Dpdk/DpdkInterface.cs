// The kernel's interface beneath a DPDK device of software (iface=eth0), looked at by ourselves: net_af_packet and net_af_xdp do not say
// when it is deleted, and then move nothing for ever.
using System.Threading;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Dpdk;

internal sealed class DpdkInterface : IDisposable
{
    private const string Argument = "iface=";

    private readonly Lock _gate = new();
    private readonly int _index;
    private int _control;

    private DpdkInterface(string name, int control)
    {
        (Name, _control) = (name, control);
        _index = InterfaceDriver.IndexOf(control, name);
    }

    /// <summary>The interface's name.</summary>
    public string Name { get; }

    /// <summary>Whether the interface that the device was opened on is not there any more; another one of that name does not count. From any thread.</summary>
    public bool IsGone
    {
        get
        {
            lock (_gate) return _control >= 0 && InterfaceDriver.IndexOf(_control, Name) != _index;
        }
    }

    /// <summary>Watches what the device's arguments name, in the calling thread's namespace; null where they name none.</summary>
    public static DpdkInterface? TryWatch(IEnumerable<string> arguments)
    {
        if (arguments.FirstOrDefault(static argument => argument.StartsWith(Argument, StringComparison.Ordinal)) is not { } argument) return null;
        var name = argument[Argument.Length..];
        return TapDevice.OpenControl(name) is >= 0 and var control ? new DpdkInterface(name, control) : null;
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_control >= 0) Posix.Close(_control);
            _control = -1;
        }
    }
}
