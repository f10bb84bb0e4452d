// The name of a call-back for people: of the async method whose continuation it is, of the handler's class, of the delegate's method.
// Only for logs; a name that cannot be found is the type's.
namespace Peregrine;

internal static class CallbackName
{
    internal static string Of(object? callback) => callback switch
    {
        null => "nothing",
        Delegate { Target: { } target } when IsMachineBox(target.GetType(), out var machine) => MethodOf(machine),
        Delegate d => $"{d.Method.DeclaringType?.FullName}.{d.Method.Name}",
        _ when IsMachineBox(callback.GetType(), out var machine) => MethodOf(machine),
        _ => callback.GetType().FullName ?? callback.GetType().Name,
    };

    // The boxes of async methods are generic classes whose last argument is the compiler's state machine, "<Method>d__7".
    private static bool IsMachineBox(Type type, out Type machine)
    {
        machine = type;
        if (!type.IsGenericType) return false;
        machine = type.GenericTypeArguments[^1];
        return typeof(System.Runtime.CompilerServices.IAsyncStateMachine).IsAssignableFrom(machine);
    }

    private static string MethodOf(Type machine)
    {
        var (start, end) = (machine.Name.IndexOf('<', StringComparison.Ordinal), machine.Name.IndexOf('>', StringComparison.Ordinal));
        var method = start >= 0 && end > start + 1 ? machine.Name[(start + 1)..end] : machine.Name;
        return $"{machine.DeclaringType?.FullName}.{method}";
    }
}
