// Shell lines of scripts, where the script plays against a stack: settings become the stack's, files are made, connections are counted.
using Peregrine.Core;
using Peregrine.Posix;
using Peregrine.Scripting.Language;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptShell(ScriptWorld world, StackOptions options, ScriptFileTable files)
{
    private StackOptions _defaults = options;

    /// <summary>What the next socket is made with.</summary>
    internal Core.Tcp.TcpSettings Tcp => _defaults.Tcp;

    /// <summary>Options with what a script sets before it does anything else: a stack's are fixed when it is made.</summary>
    internal static StackOptions SettingsBefore(Script script, StackOptions options, bool v6)
    {
        var lines = script.Events.TakeWhile(static e => e is ShellEvent).Cast<ShellEvent>().Select(static e => e.Command).Where(static c => !StateCheck.Is(c) && !Signatures.IsSetkey(c));
        // What takes its meaning from another comes after it.
        foreach (var (name, value) in lines.SelectMany(Sysctls.Read).Where(static s => !KernelSettings.Is(s.Name)).OrderBy(static s => s.Name == FreeBsdSysctls.Dependent))
            options = Sysctls.Apply(options, name, value, v6);
        return options;
    }

    // What FreeBSD has once for the system counts for the sockets that there are as well.
    private void ApplyToAll(string name, string value)
    {
        foreach (var s in world.Sockets.All.Where(static s => s.Kind == PosixKind.Tcp).ToArray())
        {
            var changed = Sysctls.Apply(_defaults with { Tcp = s.Settings }, name, value, !world.Setup.Local.IsIPv4).Tcp;
            if (changed != s.Settings) PosixOptions.Replace(world.Sockets, s, changed, world.Now);
        }
    }

    internal void Run(string command, bool isUsed, bool packetsFollow)
    {
        files.Run(command);
        if (StateCheck.Is(command))
        {
            StateCheck.Run(world, command);
            return;
        }
        if (Signatures.IsSetkey(command))
        {
            world.Sockets.Associations = Signatures.Read(command, world.Setup.Local);
            return;
        }
        if (command.Contains("tcp_metrics flush", StringComparison.Ordinal)) world.Stack.Tcp.ForgetFastOpenCookies();
        foreach (var (name, value) in Sysctls.Read(command))
        {
            if (KernelSettings.Is(name))
            {
                KernelSettings.Apply(world, name, value);
                continue;
            }
            // What a script sets before it uses the stack is there since the stack was made.
            if (!isUsed) continue;
            var changed = Sysctls.Apply(_defaults, name, value, !world.Setup.Local.IsIPv4);
            // The stack has its options; only what sockets get can change, which is all that is wanted before the next socket.
            if (changed with { Tcp = _defaults.Tcp } != _defaults && packetsFollow) throw new NotApplicableException($"{name}={value} while the stack runs");
            _defaults = _defaults with { Tcp = changed.Tcp };
            if (FreeBsdSysctls.IsForAll(name)) ApplyToAll(name, value);
        }
    }
}
