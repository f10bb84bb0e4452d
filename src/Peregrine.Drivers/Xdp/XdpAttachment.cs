// The steering program on an interface: loaded, attached in the driver or generically, and gone with its descriptors, so that a process
// that ends in whatever way leaves the interface as it found it.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

internal sealed class XdpAttachment : IDisposable
{
    private int _program = -1, _link = -1;

    private XdpAttachment(InterfaceFacts facts) => Facts = facts;

    /// <summary>The interface as it was when the program was attached.</summary>
    public InterfaceFacts Facts { get; }

    /// <summary>Whether the program runs in the driver.</summary>
    public bool IsNative { get; private set; }

    /// <summary>Why it does not, or null.</summary>
    public string? GenericReason { get; private set; }

    /// <summary>Attaches a program, in the namespace of the calling thread.</summary>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static XdpAttachment Attach(InterfaceFacts facts, SteeringMaps maps, XdpMode mode)
    {
        var attachment = new XdpAttachment(facts);
        try
        {
            attachment._program = Load(maps);
            var error = Errno.None;
            if (mode != XdpMode.Generic) attachment.IsNative = attachment.TryAttach(BpfCalls.AttachNative, out error);
            if (attachment.IsNative) return attachment;
            // In use is in use: a generic program would be refused as well, with a worse reason.
            if (mode == XdpMode.Native || error is Errno.EBUSY or Errno.EEXIST) throw Refused(facts.Name, "native", error);
            attachment.GenericReason = mode == XdpMode.Generic ? "it was asked for" : $"the driver refuses a native program ({error})";
            if (!attachment.TryAttach(BpfCalls.AttachGeneric, out error)) throw Refused(facts.Name, "generic", error);
            return attachment;
        }
        catch
        {
            attachment.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (_link >= 0) Posix.Close(_link);
        if (_program >= 0) Posix.Close(_program);
        _link = _program = -1;
    }

    private static int Load(SteeringMaps maps)
    {
        var code = SteeringProgram.Assemble(maps);
        // Before Linux 5.18 no program takes frames of several fragments, and none is told of the flag.
        var loaded = BpfCalls.LoadXdp(code, "peregrine", BpfCalls.ProgramTakesFragments, out var log);
        if (loaded.Errno == Errno.EINVAL) loaded = BpfCalls.LoadXdp(code, "peregrine", 0, out log);
        if (loaded.Errno is Errno.EPERM)
            throw new UnauthorizedAccessException("no permission to load an XDP program: run as root, or with CAP_BPF and CAP_NET_ADMIN");
        return loaded.ThrowIfError($"the kernel refuses the XDP program{(log.Length == 0 ? "" : ":\n" + log + "\n")}").Int32;
    }

    private static Exception Refused(string name, string mode, Errno error) => error switch
    {
        Errno.EPERM or Errno.EACCES => new UnauthorizedAccessException($"no permission to attach an XDP program to '{name}': run as root, or with CAP_NET_ADMIN"),
        Errno.EBUSY or Errno.EEXIST => new IOException($"'{name}' has an XDP program already: end the program that attached it, or 'ip link set dev {name} xdp off'", (int)error),
        Errno.EOPNOTSUPP => new IOException($"the driver of '{name}' takes no {mode} XDP program: take mode=generic, or --link packet:{name}", (int)error),
        Errno.EINVAL => new IOException(
            $"the driver of '{name}' refuses a {mode} XDP program as the interface is set now, mostly for its MTU or its offloads (LRO): lower the MTU, or take mode=generic", (int)error),
        _ => new IOException($"cannot attach an XDP program to '{name}' ({mode} mode): {PosixResult.Describe(error)}", (int)error),
    };

    private bool TryAttach(uint flags, out Errno error)
    {
        var attached = BpfCalls.AttachXdp(_program, Facts.Index, flags);
        error = attached.Errno;
        if (attached.IsError) return false;
        _link = attached.Int32;
        return true;
    }
}
