// The steering program on an interface: attached in the driver or generically, and gone with its descriptor, so that a process that ends in
// whatever way leaves the interface as it found it.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

internal sealed class XdpAttachment : IDisposable
{
    /// <summary>An attachment that is there already, by its descriptor, which is owned from now on.</summary>
    public XdpAttachment(int descriptor, int interfaceIndex, bool isNative)
    {
        (Descriptor, InterfaceIndex, IsNative) = (descriptor, interfaceIndex, isNative);
    }

    /// <summary>What keeps the program on the interface.</summary>
    public int Descriptor { get; private set; }

    /// <summary>The interface's number.</summary>
    public int InterfaceIndex { get; }

    /// <summary>Whether the program runs in the driver.</summary>
    public bool IsNative { get; }

    /// <summary>Why it does not, or null.</summary>
    public string? GenericReason { get; private init; }

    /// <summary>Attaches a program, in the namespace of the calling thread.</summary>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static XdpAttachment Attach(InterfaceFacts facts, int program, XdpMode mode)
    {
        var error = Errno.None;
        if (mode != XdpMode.Generic)
        {
            var native = BpfCalls.AttachXdp(program, facts.Index, BpfCalls.AttachNative);
            if (!native.IsError) return new XdpAttachment(native.Int32, facts.Index, isNative: true);
            error = native.Errno;
        }
        // In use is in use: a generic program would be refused as well, with a worse reason.
        if (mode == XdpMode.Native || error is Errno.EBUSY or Errno.EEXIST) throw Refused(facts.Name, "native", error);
        var generic = BpfCalls.AttachXdp(program, facts.Index, BpfCalls.AttachGeneric);
        if (generic.IsError) throw Refused(facts.Name, "generic", generic.Errno);
        return new XdpAttachment(generic.Int32, facts.Index, isNative: false)
        {
            GenericReason = mode == XdpMode.Generic ? "it was asked for" : $"the driver refuses a native program ({error})",
        };
    }

    public void Dispose()
    {
        if (Descriptor >= 0) Posix.Close(Descriptor);
        Descriptor = -1;
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
}
