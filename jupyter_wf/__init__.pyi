from .active import connect as connect
from .active import current as current
from .context import TaskContext as TaskContext
from .context import context as context
from .engine.dask import DaskEngine as DaskEngine
from .engine.futures import FuturesEngine as FuturesEngine
from .engine.local import LocalEngine as LocalEngine
from .engine.store import open_store as open_store
from .errors import CaptureError as CaptureError
from .errors import CorruptValueError as CorruptValueError
from .errors import CycleError as CycleError
from .errors import DoubleProducerError as DoubleProducerError
from .errors import EngineError as EngineError
from .errors import FingerprintError as FingerprintError
from .errors import GraphError as GraphError
from .errors import MissingInputError as MissingInputError
from .errors import MissingValueError as MissingValueError
from .errors import NotComputedError as NotComputedError
from .errors import PackageError as PackageError
from .errors import StoreError as StoreError
from .errors import TaskCancelledError as TaskCancelledError
from .errors import TaskError as TaskError
from .errors import WorkflowError as WorkflowError
from .graph import Data as Data
from .graph import Graph as Graph
from .graph import Task as Task
from .handle import DataHandle as DataHandle
from .plan import Plan as Plan
from .run import Run as Run
from .task import task as task
from .workflow import Workflow as Workflow

__version__: str

def load_ipython_extension(shell: object) -> None: ...
def unload_ipython_extension(shell: object) -> None: ...
